package javacard

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// howto is the set-up as the HOWTO sends it, all PINs and unblock codes being
// 00000000.
const howto = "B02A000038084D7573636C6530300401083030303030303030083030303030303030" +
	"050208303030303030303008303030303030303000001770000201"

// recorder writes down what is sent. The card answers, and where there is none, a
// MUSCLE applet on a Java card: the set-up and GET STATUS by the status words that
// are given.
type recorder struct {
	card          iso7816.Transmitter
	setUp, status string
	before        string // what it answers to GET STATUS before the set-up
	muscle        string // what SELECT answers to the applet's AID
	serial        byte
	allow         pin.Allow
	sent          []string
}

func (r *recorder) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	sent := strings.ToUpper(hex.EncodeToString(apdu))
	r.sent = append(r.sent, sent)
	if r.card != nil {
		return r.card.Transmit(ctx, apdu)
	}
	answer := "9000"
	switch {
	case strings.HasPrefix(sent, "00A4040006A00000000101"):
		answer = r.muscle
	case strings.HasPrefix(sent, "00A4"):
		answer = "6F0A8408A0000001510000009000"
	case strings.HasPrefix(sent, "80CA9F7F"):
		answer = "9F7F2A" + strings.Repeat(hex.EncodeToString([]byte{r.serial}), 42) + "9000"
	case strings.HasPrefix(sent, "B02A"):
		answer = r.setUp
	case strings.HasPrefix(sent, "B03C") && !r.changed():
		answer = r.before
	case strings.HasPrefix(sent, "B03C"):
		answer = r.status
	}
	if answer == "pulled" {
		return nil, iso7816.ErrCardRemoved
	}
	return hex.DecodeString(answer)
}

// changed reports whether the set-up was sent.
func (r *recorder) changed() bool { return strings.Contains(strings.Join(r.sent, " "), "B02A") }

func newRecorder() *recorder {
	return &recorder{setUp: "9000", before: "9C05", status: "9C05", muscle: "9000", serial: 0x11}
}

// setUp does what the workflow does: look, let go of the card while somebody is
// asked, set up.
func setUp(t *testing.T, s *slot, o card.InitOptions, pins map[secret.Name]string, meanwhile func()) (card.InitReport, error) {
	t.Helper()
	line := s.open(t, "")
	var allow pin.Allow
	if r, ok := s.card.(*recorder); ok {
		allow = r.allow
	}
	c, err := opened(t, line, "muscle", allow)
	if err != nil {
		return card.InitReport{}, err
	}
	able := c.(card.Initialiser)
	survey, err := able.Survey(t.Context(), o)
	if err != nil {
		return card.InitReport{}, err
	}
	if !strings.Contains(survey.Question.String(), "Java card in sim:desk") {
		t.Errorf("the question does not name the card: %s", survey.Question)
	}
	if meanwhile != nil {
		err := line.Confirm(func(_ context.Context, q desk.Question) error {
			err := q.Waiting()
			meanwhile()
			return err
		}).Ask(t.Context(), survey.Question)
		if err != nil {
			t.Fatal(err)
		}
	}
	given := map[secret.Name]*secret.Bytes{}
	for _, need := range survey.Needs {
		if _, known := pins[need.Request.Name]; need.Request.Optional && !known {
			continue
		}
		value := secret.New([]byte(pins[need.Request.Name]))
		if err := need.PIN.CheckLength(value); err != nil {
			return survey.Report, err
		}
		given[need.Request.Name] = value
	}
	return able.Initialise(t.Context(), survey, given)
}

func zeros() map[secret.Name]string {
	return map[secret.Name]string{secret.PIN: "00000000", secret.SOPIN: "00000000", secret.PUK: "00000000"}
}

func TestMuscleSetUpIsThatOfTheHOWTO(t *testing.T) {
	r := newRecorder()
	report, err := setUp(t, &slot{r}, card.InitOptions{}, zeros(), nil)
	if err != nil || report.Application != "muscle" || report.PINs != "new" {
		t.Fatalf("%+v, %v", report, err)
	}
	if len(r.sent) != 3 || r.sent[2] != howto || !strings.HasPrefix(r.sent[0], "00A4040006A00000000101") {
		t.Errorf("sent %q", r.sent)
	}
}

func TestMuscleSetUpHasEachPINInItsPlace(t *testing.T) {
	r := newRecorder()
	pins := map[secret.Name]string{secret.PIN: "1111", secret.SOPIN: "22222", secret.PUK: "333333"}
	if _, err := setUp(t, &slot{r}, card.InitOptions{}, pins, nil); err != nil {
		t.Fatal(err)
	}
	want := "B02A00002D084D7573636C653030" + "0401" + "053232323232" + "06333333333333" + "0502" + "0431313131" + "06333333333333" + "00001770000201"
	if got := r.sent[len(r.sent)-1]; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

// The secrets are asked for as those that the applet shall have.
func TestMuscleNeeds(t *testing.T) {
	c, err := opened(t, (&slot{newRecorder()}).open(t, ""), "muscle")
	if err != nil {
		t.Fatal(err)
	}
	survey, err := c.(card.Initialiser).Survey(t.Context(), card.InitOptions{})
	if err != nil || len(survey.Needs) != 4 {
		t.Fatalf("%+v, %v", survey, err)
	}
	for i, role := range []pin.Role{pin.SO, pin.User, pin.PUK} {
		need := survey.Needs[i]
		if need.PIN.Role != role || !need.Request.New || need.Request.Name != need.PIN.Secret || need.PIN.Min != 4 || need.PIN.Max != 8 || need.PIN.Tries != nil {
			t.Errorf("%+v", need)
		}
	}
}

func TestMuscleSetUpRefusals(t *testing.T) {
	short, long := zeros(), zeros()
	short[secret.PIN], long[secret.PUK] = "123", "123456789"
	for name, test := range map[string]struct {
		change  func(*recorder)
		options card.InitOptions
		pins    map[secret.Name]string
		code    problem.Code
		sent    bool
	}{
		"no applet":         {func(r *recorder) { r.muscle = "6A82" }, card.InitOptions{}, zeros(), problem.NotFound, false},
		"set up before":     {func(r *recorder) { r.setUp = "6D00" }, card.InitOptions{}, zeros(), problem.NotSupported, true},
		"shown as set up":   {func(r *recorder) { r.before = strings.Repeat("01", 16) + "9000" }, card.InitOptions{}, zeros(), problem.NotSupported, false},
		"another first PIN": {func(r *recorder) { r.setUp = "9C02" }, card.InitOptions{}, zeros(), problem.PINIncorrect, true},
		"any name":          {func(r *recorder) { r.before = "9000" }, card.InitOptions{}, zeros(), problem.NotFound, false},
		"another applet":    {func(r *recorder) { r.before = "6D00" }, card.InitOptions{}, zeros(), problem.NotFound, false},
		"pulled":            {func(r *recorder) { r.setUp = "pulled" }, card.InitOptions{}, zeros(), problem.CardRemoved, true},
		"a short PIN":       {func(*recorder) {}, card.InitOptions{}, short, problem.Usage, false},
		"a long PUK":        {func(*recorder) {}, card.InitOptions{}, long, problem.Usage, false},
		"a label":           {func(*recorder) {}, card.InitOptions{Label: "desk"}, zeros(), problem.NotSupported, false},
		"factory PINs":      {func(*recorder) {}, card.InitOptions{FactoryPINs: true}, zeros(), problem.NotSupported, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorder()
			test.change(r)
			_, err := setUp(t, &slot{r}, test.options, test.pins, nil)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != test.code || r.changed() != test.sent {
				t.Fatalf("%v, want %s; sent %q", err, test.code, r.sent)
			}
			if strings.Contains(p.Error()+p.Next.Sentence, "00000000") {
				t.Errorf("a PIN is in %v", p)
			}
			if errors.Is(err, card.ErrLacks) != (test.code == problem.NotFound) {
				t.Errorf("whether it has the applet: %v", err)
			}
		})
	}
}

// The same card is set up after it was let go.
func TestMuscleSetUpAfterAQuestion(t *testing.T) {
	r := newRecorder()
	if _, err := setUp(t, &slot{r}, card.InitOptions{}, zeros(), func() {}); err != nil || !r.changed() {
		t.Errorf("%v, sent %q", err, r.sent)
	}
}

// Another card that comes while the PINs are asked for is not set up, and none of
// them reaches it.
func TestAnotherMuscleCard(t *testing.T) {
	for name, change := range map[string]func(*recorder){
		"another serial": func(r *recorder) { r.serial = 0x22 },
		"no applet":      func(r *recorder) { r.muscle = "6A82" },
	} {
		other := newRecorder()
		change(other)
		s := &slot{newRecorder()}
		_, err := setUp(t, s, card.InitOptions{}, zeros(), func() { s.card = other })
		if !problem.Is(err, problem.CardChanged) || other.changed() {
			t.Errorf("%s: %v, sent %q", name, err, other.sent)
		}
	}
}

// After an answer that is neither success nor a refusal, what is said is what the
// applet shows.
func TestMuscleSetUpThatIsNotClear(t *testing.T) {
	for status, said := range map[string]string{
		"9000": "The applet is set up", "9C05": "The applet is not set up", "6F00": "may be set up",
	} {
		for _, answer := range []string{"6200", "63C1", "6581", "6985", "6F00"} {
			r := newRecorder()
			r.setUp, r.status = answer, status
			_, err := setUp(t, &slot{r}, card.InitOptions{}, zeros(), nil)
			if err == nil || !strings.Contains(err.Error(), said) || strings.Contains(err.Error(), "Nothing on the card was changed.") || strings.Count(strings.Join(r.sent, " "), "B02A") != 1 {
				t.Errorf("%s, then %s: %v", answer, status, err)
			}
		}
	}
}

// TestAnotherFactoryPIN: it is named, and sent only if its unknown tries are allowed.
func TestAnotherFactoryPIN(t *testing.T) {
	r, pins := newRecorder(), zeros()
	pins[secret.CurrentSOPIN] = "Muscle99"
	if _, err := setUp(t, &slot{r}, card.InitOptions{}, pins, nil); !problem.Is(err, problem.TriesUnknown) || r.changed() {
		t.Errorf("unknown tries: %v, sent %q", err, r.sent)
	}
	r.allow.UnknownTries = true
	if _, err := setUp(t, &slot{r}, card.InitOptions{}, pins, nil); err != nil || !strings.Contains(strings.Join(r.sent, " "), "084D7573636C653939") {
		t.Errorf("%v, sent %q", err, r.sent)
	}
}
