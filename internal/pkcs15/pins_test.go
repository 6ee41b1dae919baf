package pkcs15

import (
	"context"
	"crypto"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// twoUserPINs is a MyEID card on which keys 45 and 46 have PINs of their own.
func twoUserPINs(t *testing.T) (*Card, *scripted) {
	t.Helper()
	c, card := openScripted(t, blankMyEID(map[string]string{"00200001": "63C3", "00200002": "63C1", "00A4080C": "9000", "0022": "9000", "002A": "01029000"}))
	d := &Directory{
		has:  everything,
		PINs: []PIN{{ID: "01", Reference: 1}, {ID: "02", Reference: 2}, {ID: "03", Reference: 3, SO: true}, {ID: "04", Reference: 4, Unblocking: true}},
		Keys: []PrivateKey{
			{ID: []byte{0x45}, AuthID: "01", path: path(fileApplication, 0x4B01)},
			{ID: []byte{0x46}, AuthID: "02", path: path(fileApplication, 0x4B02)},
			{ID: []byte{0x47}, AuthID: "09"},
		},
	}
	distinguish(d.PINs)
	c.directory = d
	return c, card
}

func TestAKeyHasThePINOfItsEntry(t *testing.T) {
	c, _ := twoUserPINs(t)
	for name, tt := range map[string]struct {
		id      byte
		toWrite bool
		want    string
		tries   int
	}{
		"the first":                {0x45, false, "01", 3},
		"the second":               {0x46, false, "02", 1},
		"to write beside it":       {0x46, true, "01", 3},
		"a key that is to be made": {0x48, false, "01", 3},
	} {
		p, err := c.PINFor(t.Context(), []byte{tt.id}, tt.toWrite)
		if err != nil || p.ID != tt.want || p.TriesLeft != tt.tries {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := c.PINFor(t.Context(), []byte{0x47}, false); !problem.Is(err, problem.NotSupported) {
		t.Errorf("a key of an unknown PIN has %+v, %v", p, err)
	}
}

func TestPINsAreToldApart(t *testing.T) {
	c, _ := twoUserPINs(t)
	var roles, names []string
	for _, p := range c.directory.PINs {
		roles, names = append(roles, p.Role()), append(names, p.Name())
	}
	if !slices.Equal(roles, []string{"user", "user-02", "so", "puk"}) || !slices.Equal(names, []string{"user PIN", "user PIN 02", "SO PIN", "PUK"}) {
		t.Errorf("%q, %q", roles, names)
	}
	d, err := parseListing([]byte("PIN [one]\n\tID : 01\n\tFlags : [0x31]\n\nPIN [two]\n\tID : 02\n\tFlags : [0x31]\n"))
	if err != nil || d.PINs[1].Role() != "user-02" {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestAVerifiedPINIsThatOfItsKeysAlone signs with both keys.
func TestAVerifiedPINIsThatOfItsKeysAlone(t *testing.T) {
	c, card := twoUserPINs(t)
	card.answers["0020000108"], card.answers["0020000208"] = "9000", "9000"
	delete(card.answers, "00200001")
	delete(card.answers, "00200002")
	pin := secret.New([]byte("1234"))
	for i, want := range []string{"0020000108", "0020000208", "0020000108"} {
		k := &c.directory.Keys[i%2]
		if _, verified := c.Verified(k); verified {
			t.Errorf("the PIN of key %X is taken for verified", k.ID)
		}
		if _, err := c.Sign(t.Context(), k, c.directory.PINs[i%2], pin, make([]byte, 32), crypto.SHA256); err != nil {
			t.Fatal(err)
		}
		if _, verified := c.Verified(k); !verified || !slices.ContainsFunc(card.sent, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("the PIN of key %X was not verified", k.ID)
		}
		card.sent = nil
	}
}

func TestTriesOfACardThroughOpenSC(t *testing.T) {
	const listing = "PKCS#15 Card [x]:\n\tSerial number : 01\n\nPIN [p]\n\tID : 01\n\tFlags : [0x31]\n\tReference : 129 (0x81)\n\tPath : 3f005015\n\tAuth ID : 02\n%s\n" +
		"PIN [q]\n\tID : 02\n\tFlags : [0x40], unblockingPin\n\tReference : 2 (0x02)\n\tTries left : 5\n"
	for name, tt := range map[string]struct {
		told, answer string
		want         int
		asked        bool
	}{
		"the listing tells":        {"\tTries left : 2\n", "63C3", 2, false},
		"the card tells":           {"", "63C3", 3, true},
		"the card says blocked":    {"", "6983", 0, true},
		"it is verified":           {"", "9000", -1, true},
		"the card does not know":   {"", "6700", -1, true},
		"the card gives a warning": {"", "6300", -1, true},
	} {
		card := &scripted{answers: map[string]string{selectsPKCS15: "9000", "00A4080C025015": "9000", "00200081": tt.answer}}
		tools := Tools{Run: func(_ context.Context, p runner.Program) (runner.Result, error) {
			if p.Name == "opensc-tool" {
				return runner.Result{Stdout: []byte("OpenSC 0.23.0")}, nil
			}
			return runner.Result{Stdout: []byte(strings.Replace(listing, "%s", tt.told, 1))}, nil
		}}
		c, err := Open(t.Context(), &reader{card: card}, tools)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Tries(t.Context(), PIN{ID: "01"})
		asked := slices.Contains(card.sent, "00200081")
		if err != nil || got != tt.want || asked != tt.asked {
			t.Errorf("%s: %d, %v, asked: %v", name, got, err, asked)
		}
		if puk, err := c.PUK(t.Context(), *c.directory.PIN("01")); err != nil || puk.ID != "02" || puk.TriesLeft != 5 {
			t.Errorf("%s: PUK %+v, %v", name, puk, err)
		}
	}
}

// TestWhatAnAnswerSaysOfAPIN changes and unblocks a PIN on a card that answers
// this and that.
func TestWhatAnAnswerSaysOfAPIN(t *testing.T) {
	for answer, tt := range map[string]struct {
		tells     string // of the tries left
		unsettled bool
		code      problem.Code
	}{
		"63C2": {"63C2", false, problem.PINIncorrect},
		"63C1": {"63C3", true, problem.Failed}, // it was carried out, or this is no answer to it
		"6983": {"6983", false, problem.PINBlocked},
		"6982": {"63C3", false, problem.Failed},
		"6A80": {"63C3", false, problem.Failed},
		"6200": {"63C3", true, problem.Failed},
		"6282": {"63C3", true, problem.Failed},
		"6310": {"63C3", true, problem.Failed},
		"6581": {"63C3", true, problem.Failed},
		"6985": {"63C3", true, problem.Failed},
		"6F00": {"63C3", true, problem.Failed},
	} {
		c, card := openScripted(t, blankMyEID(map[string]string{"00240001": answer, "00200001": tt.tells}))
		err := c.ChangePIN(t.Context(), PIN{ID: "01", Reference: 1}, secret.New([]byte("1234")), secret.New([]byte("5678")))
		if !problem.Is(err, tt.code) || Unsettled(err) != tt.unsettled {
			t.Errorf("%s: %v, unsettled: %v", answer, err, Unsettled(err))
		}
		sent := 0
		for _, command := range card.sent {
			if strings.HasPrefix(command, "00240001") {
				sent++
			}
		}
		if sent != 1 {
			t.Errorf("%s: sent %d times", answer, sent)
		}
	}
}

// TestWhatAnAnswerSaysOfAWrite removes a file: 63Cx counts something else there.
func TestWhatAnAnswerSaysOfAWrite(t *testing.T) {
	for answer, want := range map[string]bool{
		"6982": false, "6A82": false, "6D00": false,
		"63C1": true, "6200": true, "6310": true, "6581": true, "6985": true, "6F00": true, "9000": true,
	} {
		c, _ := openScripted(t, blankMyEID(map[string]string{"00A4080C": "9000", "00E4": answer, "00200001": "9000"}))
		d := c.driver.(myEIDCard)
		err := d.with(t.Context(), PIN{ID: "01", Reference: 1}, secret.New([]byte("1234")), func() error {
			if err := d.native.layout.remove(t.Context(), 0x4301); err != nil {
				return err
			}
			return context.Canceled // after a command that was carried out
		})
		if Unsettled(err) != want {
			t.Errorf("%s: %v", answer, err)
		}
	}
}
