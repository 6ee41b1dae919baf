package openpgp

import (
	"context"
	"crypto"
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// swapping is a reader in which another card can be put behind the line's back:
// one that the reader does not notice, so that the comparison alone is left.
type swapping struct {
	iso7816.Connection
	d     *table
	other iso7816.Connection
}

func (s *swapping) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if s.other == nil {
		return s.Connection.Transmit(ctx, apdu)
	}
	cmd, _, _ := iso7816.ParseCommand(slices.Clone(apdu))
	s.d.sent = append(s.d.sent, exchange{cmd: cmd})
	return s.other.Transmit(ctx, apdu)
}

// swappedFor has another card in the reader once somebody types.
func (d *table) swappedFor(other *cardsim.Card) {
	conn, err := other.Connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	d.typed = true
	d.wrap = func(first iso7816.Connection) iso7816.Connection {
		s := &swapping{Connection: first, d: d}
		d.waiting = func() { s.other = conn }
		return s
	}
}

// TestAnotherCardGetsNothing has another card in the reader after each prompt and
// question: it is only looked at.
func TestAnotherCardGetsNothing(t *testing.T) {
	others := map[string]func(*testing.T) *table{
		"another serial": func(t *testing.T) *table { return newTableOf(t, cardsim.Options{Serial: "99999999"}) },
		"another key": func(t *testing.T) *table {
			d := newTableOf(t, cardsim.Options{Serial: "12345678"})
			d.generate("OPENPGP.3")
			return d
		},
		"no key": func(t *testing.T) *table { return newTableOf(t, cardsim.Options{Serial: "12345678"}) },
		"terminated": func(t *testing.T) *table {
			d := newTableOf(t, cardsim.Options{Serial: "12345678"})
			d.terminate()
			return d
		},
		"no OpenPGP card": func(t *testing.T) *table { return newTableOf(t, cardsim.Options{Applications: []string{"pkcs15"}}) },
	}
	works := map[string]func(*table) error{
		"init":    func(d *table) error { _, err := d.initialise(card.InitOptions{}); return err },
		"set-pin": func(d *table) error { return d.setPIN(pin.User) },
		"unblock": func(d *table) error { return d.unblock(secret.AdminPIN) },
		"gen-key": func(d *table) error {
			return d.withKey("OPENPGP.3", func(k key.Key) error {
				_, err := k.Generate(d.t.Context(), key.Spec{Algorithm: key.P256})
				return err
			})
		},
		"import-cert": func(d *table) error {
			return d.withKey("OPENPGP.3", func(k key.Key) error { return k.PutCertificate(d.t.Context(), []byte("x"), nil) })
		},
		"gen-csr": func(d *table) error {
			return d.withKey("OPENPGP.3", func(k key.Key) error {
				signer, err := k.Signer(d.t.Context())
				if err == nil {
					_, err = signer.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
				}
				return err
			})
		},
	}
	for name, other := range others {
		for what, work := range works {
			t.Run(what+", "+name, func(t *testing.T) {
				d := newTableOf(t, cardsim.Options{Serial: "12345678"})
				d.generate("OPENPGP.3")
				second := other(t)
				d.pins[secret.NewPIN] = "654321"
				d.swappedFor(second.card)
				if err := work(d); !problem.Is(err, problem.CardChanged) {
					t.Errorf("%v", err)
				}
				for _, e := range d.sent {
					if e.cmd.INS != iso7816.InsSelect && e.cmd.INS != iso7816.InsGetData {
						t.Errorf("the other card was sent %s", iso7816.InstructionName(e.cmd.INS))
					}
				}
			})
		}
	}
}

// TestTheSameCardIsTakenAgain: a card that was let go while somebody typed, and
// that this process changes between two prompts, is still the one that was named.
func TestTheSameCardIsTakenAgain(t *testing.T) {
	d := newTable(t, "")
	d.typed = true
	prompts := 0
	d.waiting = func() { prompts++ }
	d.open("OPENPGP.1", func(k key.Key) {
		for range 2 { // the second over the first
			if _, err := k.Generate(t.Context(), key.Spec{Algorithm: key.P256}); err != nil {
				t.Fatal(err)
			}
			checkSignature(t, k, false)
		}
		if err := k.PutCertificate(t.Context(), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	})
	d.pins[secret.PIN], d.pins[secret.AdminPIN], d.pins[secret.NewPIN] = "654321", "87654321", "111111"
	if _, err := d.initialise(card.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := d.setPIN(pin.User); err != nil {
		t.Fatal(err)
	}
	d.checkPINs("111111", "87654321")
	if prompts < 10 {
		t.Errorf("somebody typed %d times", prompts)
	}
}

// TestInitAsksAgainWhatIsLost has another program write to the card while the
// question is on the screen.
func TestInitAsksAgainWhatIsLost(t *testing.T) {
	d := newPINs(t, "")
	d.generateAs("12345678")
	d.typed = true
	d.waiting = func() {
		d.waiting = nil
		conn, err := d.card.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(true) }()
		ch := iso7816.NewChannel(conn, iso7816.Capabilities{})
		if _, err := ch.Select(t.Context(), []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01}); err != nil {
			t.Fatal(err)
		}
		for _, cmd := range []iso7816.Command{
			{INS: iso7816.InsVerify, P2: 0x83, Data: []byte("12345678")},
			{INS: iso7816.InsPutData, P1: 0x7F, P2: 0x21, Data: []byte("certificate")},
		} {
			if _, err := ch.Send(t.Context(), cmd); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := d.initialise(card.InitOptions{}); !problem.Is(err, problem.Refused) {
		t.Errorf("%v", err)
	}
	if len(d.keys()) != 1 {
		t.Error("the card was erased")
	}
}

// TestTerminatedCards: every command says what the card is, and init goes on.
func TestTerminatedCards(t *testing.T) {
	d := newPINs(t, "")
	d.terminate()
	for what, err := range map[string]error{
		"set-pin": d.setPIN(pin.User),
		"unblock": d.unblock(secret.AdminPIN),
		"gen-key": d.withKey("OPENPGP.3", func(key.Key) error { return nil }),
	} {
		if !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "terminated") {
			t.Errorf("%s: %v", what, err)
		}
	}
	err := d.on(func(ctx context.Context, s session) error {
		keys, _ := s.card.Keys(ctx)
		pins, _ := s.card.PINs(ctx)
		facts, err := s.card.Facts(ctx)
		if s.card.Identity().State != "terminated" || len(keys)+len(pins)+len(facts) > 0 {
			t.Errorf("%+v, %v, %v, %v", s.card.Identity(), keys, pins, facts)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	d.typed = true
	report, err := d.initialise(card.InitOptions{})
	if err != nil || !report.Erased || !strings.Contains(d.question, "not yet activated") {
		t.Fatalf("%+v, %v, %q", report, err, d.question)
	}
	d.checkPINs("654321", "87654321")
}
