package openpgp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// TestANamedAdminPINThatIsWrongEndsInit: also where nothing would be lost.
func TestANamedAdminPINThatIsWrongEndsInit(t *testing.T) {
	for _, keys := range []bool{true, false} {
		d := newPINs(t, "")
		if _, err := d.initialise(card.InitOptions{}); err != nil {
			t.Fatal(err)
		}
		if keys {
			d.generateAs("87654321")
		}
		d.pins = map[secret.Name]string{secret.PIN: "111111", secret.AdminPIN: "22222222", secret.CurrentAdminPIN: "99999999"}
		_, err := d.initialise(card.InitOptions{})
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.PINIncorrect || *p.TriesLeft != 2 || !strings.Contains(p.Why, stateUntouched) {
			t.Errorf("keys %v: %v", keys, err)
		}
		if !d.takes(0x82, "654321") || !d.takes(0x83, "87654321") || keys != (len(d.keys()) == 1) {
			t.Errorf("keys %v: the card was erased", keys)
		}
	}
}

// TestInitAsksForSecretsBeforeItChangesAnything: the current admin PIN as well.
func TestInitAsksForSecretsBeforeItChangesAnything(t *testing.T) {
	d := newPINs(t, "")
	d.generateAs("12345678")
	d.asked, d.pins[secret.CurrentAdminPIN] = nil, "1"
	if _, err := d.initialise(card.InitOptions{}); !problem.Is(err, problem.Usage) {
		t.Errorf("%v", err)
	}
	if tries := d.tries(); tries[0] != 3 || tries[2] != 3 || len(d.asked) != 3 {
		t.Errorf("%v, asked for %v", tries, d.asked)
	}
}

// TestInitSendsNoPINTwice: what the card shall have is what it is said to have, or
// the factory's, and neither is right.
func TestInitSendsNoPINTwice(t *testing.T) {
	for name, test := range map[string]struct {
		user, admin, current string
		left                 []int
	}{
		"the admin PIN":          {"654321", "33333333", "33333333", []int{3, 0, 1}},
		"the factory's PIN":      {factoryUserPIN, "33333333", "44444444", []int{2, 0, 2}},
		"the factory's, admin's": {"654321", factoryAdminPIN, factoryAdminPIN, []int{3, 0, 2}},
	} {
		d := newPINs(t, "")
		if _, err := d.initialise(card.InitOptions{}); err != nil {
			t.Fatal(err)
		}
		d.last = true // nothing else keeps the second from being sent
		d.pins = map[secret.Name]string{secret.PIN: test.user, secret.AdminPIN: test.admin, secret.CurrentAdminPIN: test.current}
		if _, err := d.initialise(card.InitOptions{}); !problem.Is(err, problem.PINIncorrect) || !slices.Equal(d.tries(), test.left) {
			t.Errorf("%s: %v, tries %v", name, err, d.tries())
		}
	}
}

// TestInitByTheAdminPINOfABlankCard: the factory's PINs are not guessed where the
// user names the one that the card has.
func TestInitByTheAdminPINOfABlankCard(t *testing.T) {
	d := newPINs(t, "")
	if _, err := d.initialise(card.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	d.pins = map[secret.Name]string{secret.PIN: "111111", secret.AdminPIN: "22222222", secret.CurrentAdminPIN: "87654321"}
	report, err := d.initialise(card.InitOptions{})
	if err != nil || !report.Erased {
		t.Fatalf("%+v, %v", report, err)
	}
	d.checkPINs("111111", "22222222")
}

// TestInitGuessesWhatTheCardCounts has a card with a KDF that does not count a
// guess of another length than its hash.
func TestInitGuessesWhatTheCardCounts(t *testing.T) {
	d := newTable(t, "kdf")
	d.generateAs("12345678")
	d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
	d.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsVerify && len(cmd.Data) != 32 {
			return []byte{0x67, 0x00}
		}
		return nil
	})
	report, err := d.initialise(card.InitOptions{})
	if err != nil || !report.Erased {
		t.Fatalf("%+v, %v", report, err)
	}
}

// TestInitSaysThatNoGuessCounts: it does not promise that the same command again
// completes what it cannot.
func TestInitSaysThatNoGuessCounts(t *testing.T) {
	d := newPINs(t, "")
	d.generateAs("12345678")
	guesses := 0
	d.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsVerify {
			guesses++
			return []byte{0x67, 0x00}
		}
		return nil
	})
	_, err := d.initialise(card.InitOptions{})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.NotSupported || strings.Contains(p.Why, "the same command again") || guesses > 3 {
		t.Errorf("%d guesses: %v", guesses, err)
	}
	d.wrap = nil
	if len(d.keys()) != 1 || d.tries()[0] != 3 {
		t.Error("the card was changed")
	}
}

// TestInitSaysThatTheApplicationIsGone has a card that is activated and then has no
// application.
func TestInitSaysThatTheApplicationIsGone(t *testing.T) {
	d, activated := newPINs(t, ""), false
	d.generateAs("12345678")
	d.answers(func(cmd iso7816.Command) []byte {
		activated = activated || cmd.INS == iso7816.InsActivateFile
		if activated && cmd.INS == iso7816.InsSelect {
			return []byte{0x6A, 0x82}
		}
		return nil
	})
	_, err := d.initialise(card.InitOptions{})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.NotSupported || p.Next.Action != advice.ListReaders || !strings.Contains(p.Error(), "no OpenPGP application") {
		t.Errorf("%v, %+v", err, p)
	}
}

// TestGenerateSendsTheAdminPINOnce: what VERIFY was answered is no reason to try
// another algorithm.
func TestGenerateSendsTheAdminPINOnce(t *testing.T) {
	for _, status := range [][]byte{{0x69, 0x85}, {0x6F, 0x00}, {0x6A, 0x80}, {0x6A, 0x81}, {0x6C, 0x10}} {
		d, sent := newTable(t, ""), 0
		d.answers(func(cmd iso7816.Command) []byte {
			if cmd.INS == iso7816.InsVerify {
				sent++
				return status
			}
			return nil
		})
		err := generating("")(d)
		if sent != 1 || err == nil || !strings.Contains(err.Error(), stateUntouched) {
			t.Errorf("%X: sent %d times, %v", status, sent, err)
		}
	}
}

// TestSetPINNeedsTheWholeOldPIN: with one digit too many the rest would be the
// beginning of the new one.
func TestSetPINNeedsTheWholeOldPIN(t *testing.T) {
	d := newTable(t, "")
	d.pins = map[secret.Name]string{secret.PIN: "1234567", secret.AdminPIN: "123456789", secret.NewPIN: "11111111"}
	for _, role := range Family().Roles[:2] {
		if err := d.setPIN(role); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("%s: %v", role, err)
		}
	}
	d.checkPINs("123456", "12345678")
}

// TestUnblockProvesTheNewPIN has a resetting code with one digit too many.
func TestUnblockProvesTheNewPIN(t *testing.T) {
	d := newTable(t, "")
	d.pins[secret.NewPIN] = "12345678"
	if err := d.setPIN("reset-code"); err != nil {
		t.Fatal(err)
	}
	d.pins[secret.ResetCode], d.pins[secret.NewPIN] = "123456789", "654321"
	err := d.unblock(secret.ResetCode)
	if err == nil || !strings.Contains(err.Error(), "does not accept it") || problem.Is(err, problem.PINIncorrect) {
		t.Errorf("%v", err)
	}
	if d.takes(0x82, "654321") {
		t.Error("the card takes it")
	}
}
