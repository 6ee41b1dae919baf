package piv

import (
	"context"
	"crypto"
	"crypto/rand"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// unsigned is a CHUID of 59 bytes with a GUID.
func unsigned(t *testing.T, d *table) []byte {
	t.Helper()
	chuid, err := app.NewCHUID(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	d.another(func(o *tool) { o.put("5FC102", chuid) })
	return chuid
}

// released are the commands of a signature after the card was released, by a key that has
// signed before.
func (d *table) released(slot app.Slot, expected crypto.PublicKey, meanwhile func()) (sent string, err error) {
	d.t.Helper()
	digest := make([]byte, 32)
	err = d.on(func(ctx context.Context, c *onCard) error {
		k := c.key(slot)
		sign := func() error {
			s, err := k.SignerOf(ctx, expected)
			if err != nil {
				return err
			}
			signature, err := s.Sign(rand.Reader, digest, crypto.SHA256)
			if err == nil && !pubkey.Verify(expected, digest, signature, crypto.SHA256) {
				return problem.New(problem.CardChanged, "another key signed")
			}
			return err
		}
		if _, err := k.Occupant(ctx); err != nil {
			return err
		}
		if err := sign(); err != nil {
			return err
		}
		if err := c.line.Release(); err != nil {
			return err
		}
		meanwhile()
		d.sent = nil
		err := sign()
		sent = d.instructions()
		return err
	})
	return sent, err
}

// TestRememberedKeys cost five commands after the card was released: SELECT, what tells it
// from others, the tries left, VERIFY, and the use.
func TestRememberedKeys(t *testing.T) {
	for _, test := range []cost{
		{"piv-yubikey-5.7", app.Authentication, "", "A4 F8 F7 20 87"},
		{"piv-yubikey-5.7", app.Authentication, "always", "A4 F8 F7 20 87"},
		{"piv-yubikey-5.7", app.Authentication, "never", "A4 F8 87"},
		{"piv-yubikey-5.7", app.Signature, "", "A4 F8 F7 20 87"},
		{"piv-yubikey-5.7", app.Signature, "never", "A4 F8 87"},
		{"piv-yubikey-4", app.Authentication, "", "A4 CB 20 20 87"},
		{"piv-nist", app.Authentication, "", "A4 CB 20 20 87"},
		{"piv-nist", app.Signature, "", "A4 CB 20 20 87"},
		{"piv-global-pin", app.Authentication, "", "A4 F8 20 20 87"},
	} {
		test.compare(t, func(t *testing.T, d *table, public crypto.PublicKey) (string, error) {
			unsigned(t, d)
			return d.released(test.slot, public, func() {})
		})
	}
}

// TestRememberedCardsAreCompared: a card without a serial is another one if its CHUID is,
// or if it has a serial; one without a GUID is asked for its serial again.
func TestRememberedCardsAreCompared(t *testing.T) {
	for name, test := range map[string]struct {
		guid   bool
		answer func(cmd iso7816.Command, answer []byte) []byte
		sent   string
		code   problem.Code
	}{
		"the same": {guid: true, sent: "A4 CB 20 20 87"},
		"another CHUID": {guid: true, sent: "A4 CB F8 CB", code: problem.CardChanged, answer: func(cmd iso7816.Command, answer []byte) []byte {
			if cmd.INS == 0xCB {
				answer[40]++ // in the GUID
			}
			return answer
		}},
		"another CHUID and a serial": {guid: true, sent: "A4 CB F8", code: problem.CardChanged, answer: func(cmd iso7816.Command, answer []byte) []byte {
			switch cmd.INS {
			case 0xCB:
				answer[40]++
			case 0xF8:
				return []byte{0, 0, 0, 1, 0x90, 0}
			}
			return answer
		}},
		"no CHUID": {sent: "A4 F8 CB F7 CB 20 20 87"},
		"no CHUID, and now a serial": {sent: "A4 F8", code: problem.CardChanged, answer: func(cmd iso7816.Command, answer []byte) []byte {
			if cmd.INS == 0xF8 {
				return []byte{0, 0, 0, 1, 0x90, 0}
			}
			return answer
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := managed(t, "piv-nist")
			if test.guid {
				unsigned(t, d)
			} else {
				d.another(func(o *tool) { o.put("5FC102", nil) })
			}
			made := d.generated(app.Authentication, key.P256)
			sent, err := d.released(app.Authentication, made.Public, func() { d.answer = test.answer })
			if sent != test.sent || test.code == "" && err != nil || test.code != "" && !problem.Is(err, test.code) {
				t.Errorf("%s, %v", sent, err)
			}
		})
	}
}

// TestRememberedKeyThatIsAnother: one that was made meanwhile does not sign for it.
func TestRememberedKeyThatIsAnother(t *testing.T) {
	for name, test := range map[string]struct {
		algorithm key.Algorithm
		code      problem.Code
	}{
		"of the same kind": {key.P256, problem.CardChanged},
		"of another":       {key.P384, problem.Mismatch},
	} {
		t.Run(name, func(t *testing.T) {
			d := managed(t, "piv-yubikey-5.7")
			made := d.generated(app.Authentication, key.P256)
			_, err := d.released(app.Authentication, made.Public, func() { d.generated(app.Authentication, test.algorithm) })
			if !problem.Is(err, test.code) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestRememberedPINIsNotSentBlindly: the tries are read again, for another program may have
// used some up.
func TestRememberedPINIsNotSentBlindly(t *testing.T) {
	for profile, want := range map[string]string{"piv-yubikey-5.7": "A4 F8 F7", "piv-nist": "A4 CB 20"} {
		d := managed(t, profile)
		unsigned(t, d)
		made := d.generated(app.Authentication, key.P256)
		wrong := func() {
			for range 2 {
				c, err := d.card.Connect(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, apdu := range []string{"00A4040009A00000030800001000", "0020008008393939393939FFFF"} {
					if _, err := c.Transmit(t.Context(), unhex(t, apdu)); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.Close(true); err != nil {
					t.Fatal(err)
				}
			}
		}
		sent, err := d.released(app.Authentication, made.Public, wrong)
		if !problem.Is(err, problem.PINBlocked) || sent != want {
			t.Errorf("%s: %s, %v", profile, sent, err)
		}
	}
}
