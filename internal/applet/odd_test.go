package applet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// TestNewKeysStayUntilTheOldOnesAreProved: a card that refuses keys which it took is
// asked for a proof, and so is one that is silent afterwards.
func TestNewKeysStayUntilTheOldOnesAreProved(t *testing.T) {
	for _, status := range []uint16{0x6A80, 0x6982, 0x6D00, 0x6A84} {
		card := &liar{newFakeCard(t), 0xD8, status, true}
		o := SetKeysOptions{File: filepath.Join(t.TempDir(), "keys"), Generate: true}
		if _, err := card.access("").setKeys(t, o); err != nil {
			t.Errorf("%04X: the card has the new keys: %v", status, err)
		}
		if _, err := card.fakeCard.access(readKeys(t, o.File), "").list(t); err != nil || card.failed > 0 {
			t.Errorf("%04X: nobody has the keys of the card, %d failed: %v", status, card.failed, err)
		}
	}
	for _, lies := range []bool{false, true} {
		card := newFakeCard(t)
		o := SetKeysOptions{File: filepath.Join(t.TempDir(), "keys"), Generate: true}
		r := card.access(defaultKey, "")
		r.card = &mute{fakeCard: card, lies: lies}
		_, err := r.setKeys(t, o)
		if err == nil || !strings.Contains(err.Error(), "either its old keys or the new ones") {
			t.Errorf("lies %t: %v", lies, err)
		}
		if _, err := os.Stat(o.File); errors.Is(err, fs.ErrNotExist) {
			t.Errorf("lies %t: the keys are gone, and the card proved nothing", lies)
		}
	}
}

// mute is a card that refuses PUT KEY, and then tells nothing, or proves no keys.
type mute struct {
	*fakeCard
	after, lies bool
}

func (m *mute) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if m.after && apdu[1] == 0x50 {
		if !m.lies {
			return []byte{0x69, 0x85}, nil
		}
		answer, err := m.fakeCard.Transmit(ctx, apdu)
		if len(answer) > 3 {
			answer[len(answer)-3] ^= 1 // of the cryptogram
		}
		return answer, err
	}
	if apdu[1] == 0xD8 {
		m.after = true
		return []byte{0x6A, 0x80}, nil
	}
	return m.fakeCard.Transmit(ctx, apdu)
}

// TestListsThatAreCutOff: what was read is shown, and what is named is deleted.
func TestListsThatAreCutOff(t *testing.T) {
	card := withSample(t)
	card.cutOff = 3
	l, err := card.access(defaultKey, "").list(t)
	if err != nil || !l.Incomplete || l.State != "unknown" {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t)}); !problem.Is(err, problem.Refused) {
		t.Errorf("the package is there: %v", err)
	}
	var p *problem.Error
	_, err = card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t), Replace: true})
	if !errors.As(err, &p) || p.Code != problem.Refused || !strings.Contains(p.Error(), "cut off") || p.Unless != nil || len(card.apps) != 1 {
		t.Errorf("it is not known what is lost: %v", err)
	}
	other := sample()
	other.pkg, other.applets = "F000000002", []string{"F00000000201"}
	if _, err := card.access(defaultKey, "").install(t, InstallOptions{File: other.file(t)}); err != nil || len(card.apps) != 2 {
		t.Errorf("another package: %v", err)
	}
	asked := ""
	r := card.access(defaultKey, "").confirmed(func(_ context.Context, q desk.Question) error { asked = q.Question.String(); return nil })
	if _, err := r.delete(t, DeleteOptions{AID: unhex(t, "F00000000201")}); err != nil || len(card.apps) != 1 || !strings.Contains(asked, "cut off") {
		t.Errorf("%v, asked %q", err, asked)
	}
	if _, err := card.access(defaultKey, "").delete(t, DeleteOptions{AID: unhex(t, "F000000001"), WithApplets: true}); err != nil || len(card.apps) != 0 || len(card.files) != 1 {
		t.Errorf("a package with its applets: %v", err)
	}
	if _, err := card.access(defaultKey, "").delete(t, DeleteOptions{AID: unhex(t, "F0000000EE")}); !problem.Is(err, problem.NotFound) {
		t.Errorf("what is not there: %v", err)
	}
}

// simulated reaches a simulated Java card.
func simulated(t *testing.T, channel string) reach {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Applications: []string{"gp"}, Serial: "12345678", SecureChannel: channel})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	r := newFakeCard(t).access("", t.TempDir())
	r.desk.Simulated = &simulator{card}
	return r
}

// simulator is the reader of a simulated card.
type simulator struct{ card *cardsim.Card }

func (s *simulator) List() ([]cardsim.Info, error) { return []cardsim.Info{{Name: "desk"}}, nil }

func (s *simulator) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return s.card.Connect(ctx)
}

// TestKeysOfAnotherLength: the test keys have 16 bytes, and a card that says that its
// keys are longer is not locked out.
func TestKeysOfAnotherLength(t *testing.T) {
	for channel, length := range map[string]string{"scp03-70-aes192": "24", "scp03-00-aes256": "32"} {
		r := simulated(t, channel).withTestKeys()
		for range 2 {
			_, err := r.list(t)
			if !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "AES keys of "+length+" bytes") || !strings.Contains(err.Error(), "(default) have 16") {
				t.Errorf("%s: %v", channel, err)
			}
		}
		if state, _ := r.desk.StateDir(); state != "" {
			if entries, _ := os.ReadDir(filepath.Join(state, "card-keys")); len(entries) != 0 {
				t.Errorf("%s: recorded: %v", channel, entries)
			}
		}
	}
}

// TestReasonsOfRefusals: what is known of a refusal is said.
func TestReasonsOfRefusals(t *testing.T) {
	newer := sample()
	newer.imports = []string{"0901 07 A0000000620101", "0001 07 A0000000620001"}
	for name, test := range map[string]struct {
		status uint16
		text   string
	}{
		"an import":       {0x6438, "[6438 imported package not available]: The card lacks a package"},
		"a newer version": {0x6A80, "The file needs Java Card 3.2.0 or later (CAP format 2.2, javacard.framework 1.9)."},
	} {
		card := newFakeCard(t)
		card.refuse[0xE8] = test.status
		_, err := card.access(defaultKey, "").install(t, InstallOptions{File: newer.file(t)})
		if err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	card := withSample(t)
	card.apps, card.imported = nil, true
	_, err := card.access(defaultKey, "").delete(t, DeleteOptions{AID: unhex(t, "F000000001")})
	if err == nil || !strings.Contains(err.Error(), "packages that import it") || !strings.Contains(err.Error(), unchanged) {
		t.Error(err)
	}
}

// TestReplaceIsCheckedBefore: a card that says that it is too old for the new file
// keeps the old one.
func TestReplaceIsCheckedBefore(t *testing.T) {
	newer := sample()
	newer.imports = []string{"0801 07 A0000000620101"}
	format := sample()
	format.minor = 3
	for name, f := range map[string]source{"imports": newer, "format": format} {
		card := withSample(t)
		card.details, card.silent = 2, true
		_, err := card.access(defaultKey, "").install(t, InstallOptions{File: f.file(t), Replace: true})
		if !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "the card has Java Card 2, and the file needs 3.1.0") || len(card.apps) != 1 {
			t.Errorf("%s: %v", name, err)
		}
		card.details = 3
		before := card.count
		if _, err := card.access(defaultKey, "").install(t, InstallOptions{File: f.file(t), Replace: true}); err != nil || card.count-before > 15 {
			t.Errorf("%s: %d commands, %v", name, card.count-before, err)
		}
	}
}

// TestFurtherInstances are of a package that is on the card.
func TestFurtherInstances(t *testing.T) {
	card := withSample(t)
	pkg, module := gp.AID(unhex(t, "F000000001")), gp.AID(unhex(t, "F00000000101"))
	o := InstallOptions{Package: pkg, Applets: []gp.AID{module}, Instances: []gp.AID{unhex(t, "F0000000AA")}}
	p, err := card.access(defaultKey, "").install(t, o)
	if err != nil || len(card.apps) != 2 || p.Package.Version != (Version{1, 0}) || p.LoadSize != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	for name, test := range map[string]struct {
		change func(*InstallOptions)
		code   problem.Code
	}{
		"the same again":     {func(*InstallOptions) {}, problem.Refused},
		"no such package":    {func(o *InstallOptions) { o.Package = unhex(t, "F0000000EE") }, problem.NotFound},
		"no applet":          {func(o *InstallOptions) { o.Applets, o.Instances = nil, nil }, problem.Usage},
		"replacing":          {func(o *InstallOptions) { o.Replace = true }, problem.Usage},
		"only loading":       {func(o *InstallOptions) { o.LoadOnly = true }, problem.Usage},
		"the package's AID":  {func(o *InstallOptions) { o.Instances = []gp.AID{pkg} }, problem.Usage},
		"raw and parameters": {func(o *InstallOptions) { o.RawParameters, o.Parameters = []byte{}, []byte{1} }, problem.Usage},
	} {
		change := o
		test.change(&change)
		if _, err := card.access(defaultKey, "").install(t, change); !problem.Is(err, test.code) || len(card.apps) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	hook := &refuseSecond{fakeCard: card}
	r := card.access(defaultKey, "")
	r.card = hook
	o.Instances = []gp.AID{unhex(t, "F0000000AB")}
	if _, err := r.install(t, o); err == nil || len(card.files) != 1 || len(card.apps) != 2 || strings.Contains(err.Error(), "loaded") {
		t.Errorf("%+v, %v", card.files, err)
	}
}

// TestLoadOnly loads a package and installs nothing.
func TestLoadOnly(t *testing.T) {
	card := newFakeCard(t)
	p, err := card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t), LoadOnly: true})
	if err != nil || len(card.files) != 1 || len(card.apps) != 0 || !p.LoadOnly {
		t.Errorf("%+v, %v", p, err)
	}
	_, err = card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t), LoadOnly: true, Parameters: []byte{1}})
	if !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

// TestRawParametersAndBlocks: the install parameters field goes as it is given, and a
// block is as long as is asked for.
func TestRawParametersAndBlocks(t *testing.T) {
	card := newFakeCard(t)
	spy := &seen{fakeCard: card}
	r := card.access(defaultKey, "")
	r.card = spy
	raw := unhex(t, "C90101EF04C7020100EA0180")
	if _, err := r.install(t, InstallOptions{File: sample().file(t), RawParameters: raw, BlockSize: 64}); err != nil {
		t.Fatal(err)
	}
	last := spy.sent[0xE6][1]
	if !strings.Contains(string(last), string(append([]byte{byte(len(raw))}, raw...))) {
		t.Errorf("%X has not %X", last, raw)
	}
	for i, apdu := range spy.sent[0xE8] {
		if data := len(apdu) - 6; data > 64 || data < 64 && i < len(spy.sent[0xE8])-1 {
			t.Errorf("block %d has %d bytes of data", i, data)
		}
	}
	if _, err := card.access(defaultKey, "").install(t, InstallOptions{File: sample().file(t), BlockSize: 8}); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

// seen keeps what a card was sent, by instruction.
type seen struct {
	*fakeCard
	sent map[byte][][]byte
}

func (s *seen) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if s.sent == nil {
		s.sent = map[byte][][]byte{}
	}
	s.sent[apdu[1]] = append(s.sent[apdu[1]], slices.Clone(apdu))
	return s.fakeCard.Transmit(ctx, apdu)
}

// TestLockedCardSaysSo: a locked card refuses nearly everything, and the way out is
// named.
func TestLockedCardSaysSo(t *testing.T) {
	card := withSample(t)
	card.locked = true
	var p *problem.Error
	_, err := card.access(defaultKey, "").delete(t, DeleteOptions{AID: unhex(t, "F00000000101")})
	if !errors.As(err, &p) || !strings.Contains(p.Error(), "CARD_LOCKED") || p.Next.Action != advice.UnlockCard {
		t.Errorf("%v", err)
	}
}
