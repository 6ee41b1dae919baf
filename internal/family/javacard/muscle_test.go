package cardinit

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// howto is the set-up as the HOWTO sends it, all PINs and unblock codes being
// 00000000.
const howto = "B02A000038084D7573636C6530300401083030303030303030083030303030303030" +
	"050208303030303030303008303030303030303000001770000201"

// recorder answers commands in their order by status words, 9000 after the last.
type recorder struct {
	answers []string
	sent    []string
}

func (r *recorder) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	r.sent = append(r.sent, strings.ToUpper(hex.EncodeToString(apdu)))
	answer := "9000"
	if len(r.answers) > 0 {
		answer, r.answers = r.answers[0], r.answers[1:]
	}
	if answer == "pulled" {
		return nil, iso7816.ErrCardRemoved
	}
	return hex.DecodeString(answer)
}

func setUpMuscle(r *recorder, o Options, pins map[secret.Name]string) (Report, error) {
	o.Access = key.Access{Ask: func(_ context.Context, q secret.Request) (*secret.Bytes, error) {
		if !q.New {
			return nil, errors.New("asked for " + string(q.Name) + " once")
		}
		return secret.New([]byte(pins[q.Name])), nil
	}}
	if o.Confirm == nil {
		o.Confirm = func(context.Context, string) error { return nil }
	}
	return Initialise(context.Background(), iso7816.NewChannel(r, iso7816.Capabilities{}), o)
}

func zeros() map[secret.Name]string {
	return map[secret.Name]string{secret.PIN: "00000000", secret.SOPIN: "00000000", secret.PUK: "00000000"}
}

func TestMuscleSetUpIsThatOfTheHOWTO(t *testing.T) {
	r := &recorder{}
	report, err := setUpMuscle(r, Options{Application: "muscle"}, zeros())
	if err != nil || report.Application != "muscle" || report.PINs != "new" {
		t.Fatalf("%+v, %v", report, err)
	}
	if len(r.sent) != 2 || !strings.HasPrefix(r.sent[0], "00A4040006A00000000101") || r.sent[1] != howto {
		t.Errorf("sent %q", r.sent)
	}
}

func TestMuscleSetUpHasEachPINInItsPlace(t *testing.T) {
	r := &recorder{}
	pins := map[secret.Name]string{secret.PIN: "1111", secret.SOPIN: "22222", secret.PUK: "333333"}
	if _, err := setUpMuscle(r, Options{Application: "muscle"}, pins); err != nil {
		t.Fatal(err)
	}
	want := "B02A00002D084D7573636C653030" + "0401" + "053232323232" + "06333333333333" + "0502" + "0431313131" + "06333333333333" + "00001770000201"
	if got := r.sent[1]; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

// A card that has nothing else is set up without --app.
func TestMuscleIsFound(t *testing.T) {
	r := &recorder{answers: []string{"6A82", "6A82", "9000"}}
	report, err := setUpMuscle(r, Options{}, zeros())
	if err != nil || report.Application != "muscle" || r.sent[len(r.sent)-1] != howto {
		t.Errorf("%+v, %v, %q", report, err, r.sent)
	}
}

func TestMuscleSetUpRefusals(t *testing.T) {
	short, long := zeros(), zeros()
	short[secret.PIN], long[secret.PUK] = "123", "123456789"
	no := func(context.Context, string) error { return problem.New(problem.Refused, "not confirmed") }
	for name, test := range map[string]struct {
		answers []string
		options Options
		pins    map[secret.Name]string
		code    problem.Code
		sent    int
	}{
		"no applet":         {[]string{"6A82"}, Options{}, zeros(), problem.NotFound, 1},
		"set up before":     {[]string{"9000", "6D00"}, Options{}, zeros(), problem.NotSupported, 2},
		"another first PIN": {[]string{"9000", "9C02"}, Options{}, zeros(), problem.Failed, 2},
		"pulled":            {[]string{"9000", "pulled"}, Options{}, zeros(), problem.CardRemoved, 2},
		"a short PIN":       {nil, Options{}, short, problem.Usage, 1},
		"a long PUK":        {nil, Options{}, long, problem.Usage, 1},
		"not confirmed":     {nil, Options{Confirm: no}, zeros(), problem.Refused, 1},
		"a label":           {nil, Options{Label: "desk"}, zeros(), problem.NotSupported, 0},
		"factory PINs":      {nil, Options{FactoryPINs: true}, zeros(), problem.NotSupported, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{answers: test.answers}
			test.options.Application = "muscle"
			_, err := setUpMuscle(r, test.options, test.pins)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != test.code || len(r.sent) != test.sent {
				t.Fatalf("%v, want %s; sent %q", err, test.code, r.sent)
			}
			if strings.Contains(p.Error()+p.Try, "00000000") {
				t.Errorf("a PIN is in %v", p)
			}
		})
	}
}
