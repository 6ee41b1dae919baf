package cardinit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// desk is a simulated card and what is typed at it.
type desk struct {
	t        *testing.T
	card     *cardsim.Card
	pins     map[secret.Name]string
	question string
	refuse   bool
}

func newDesk(t *testing.T, profile string) *desk {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Profile: profile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return &desk{t: t, card: card, pins: map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}}
}

func (d *desk) access() key.Access {
	return key.Access{
		Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
			pin, ok := d.pins[r.Name]
			switch {
			case !ok && r.Optional:
				return nil, nil
			case !ok:
				return nil, problem.New(problem.Usage, "no %s", r.Name)
			}
			return secret.New([]byte(pin)), nil
		},
		Now:    func() time.Time { return time.Unix(1_800_000_000, 0) },
		Notify: func(string) {},
	}
}

func (d *desk) session(use func(*iso7816.Channel)) {
	d.t.Helper()
	conn, err := d.card.Connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = conn.Close(true) }()
	use(iso7816.NewChannel(conn, iso7816.CapabilitiesOf(iso7816.HistoricalBytes(conn.ATR()))))
}

func (d *desk) initialise(o Options) (report Report, err error) {
	d.t.Helper()
	o.Access = d.access()
	o.Confirm = func(_ context.Context, question string) error {
		d.question = question
		if d.refuse {
			return problem.New(problem.Refused, "not confirmed")
		}
		return nil
	}
	d.session(func(ch *iso7816.Channel) { report, err = Initialise(d.t.Context(), ch, o) })
	return report, err
}

func (d *desk) generate(ref string) {
	d.t.Helper()
	parsed, err := key.ParseReference(ref)
	if err != nil {
		d.t.Fatal(err)
	}
	d.session(func(ch *iso7816.Channel) {
		k, err := key.Open(d.t.Context(), ch, parsed, d.access())
		if err == nil {
			_, err = k.Generate(d.t.Context(), key.Spec{Algorithm: key.P256})
		}
		if err != nil {
			d.t.Fatal(err)
		}
	})
}

func (d *desk) inspect() (info inventory.Info) {
	d.t.Helper()
	d.session(func(ch *iso7816.Channel) {
		var err error
		if info, err = inventory.Inspect(d.t.Context(), ch); err != nil {
			d.t.Fatal(err)
		}
	})
	return info
}

// checkPINs verifies that the card takes these PINs and has every try.
func (d *desk) checkPINs(user, admin string) {
	d.t.Helper()
	for ref, pin := range map[byte]string{0x82: user, 0x83: admin} {
		d.session(func(ch *iso7816.Channel) {
			if _, err := ch.Select(d.t.Context(), []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01}); err != nil {
				d.t.Fatal(err)
			}
			if _, err := ch.Send(d.t.Context(), iso7816.Command{INS: iso7816.InsVerify, P2: ref, Data: []byte(pin)}); err != nil {
				d.t.Errorf("the card does not take %s as %02X: %v", pin, ref, err)
			}
		})
	}
}

func TestInitialiseABlankCard(t *testing.T) {
	for _, profile := range []string{"", "openpgp-2.0", "wrong-pin-6982", "no-terminate", "reset-code-counted", "extended-length-refused", "exact-le-6cxx", "absent-certificate-8800", "certificate-with-tag"} {
		t.Run(profile, func(t *testing.T) {
			d := newDesk(t, profile)
			report, err := d.initialise(Options{})
			if err != nil {
				t.Fatal(err)
			}
			if report.Erased || report.PINs != "new" || len(report.Lost) > 0 || !strings.Contains(d.question, report.Serial) {
				t.Errorf("%+v, asked %q", report, d.question)
			}
			if n := d.card.Traffic().APDUs; profile == "" && n > 11 {
				t.Errorf("%d APDUs, 11 are enough", n)
			}
			d.checkPINs("654321", "87654321")
		})
	}
}

func TestInitialiseACardWithTwoApplications(t *testing.T) {
	card, err := cardsim.NewCard(cardsim.Options{Applications: []string{"openpgp", "pkcs15"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	d := &desk{t: t, card: card, pins: map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}}
	if _, err := d.initialise(Options{}); !problem.Is(err, problem.NotFound) {
		t.Fatalf("which application was meant? %v", err)
	}
	d.checkPINs("123456", "12345678")
	if _, err := d.initialise(Options{Application: "openpgp"}); err != nil {
		t.Fatal(err)
	}
	d.checkPINs("654321", "87654321")
}

func TestInitialiseAUsedCard(t *testing.T) {
	for name, test := range map[string]struct {
		profile string
		current string
		tries   int // tries of the admin PIN left afterwards
	}{
		"with the admin PIN":                {"", "87654321", 3},
		"by blocking both PINs":             {"", "", 3},
		"by blocking, 6982 for a wrong PIN": {"wrong-pin-6982", "", 3},
		"a 2.0 card by blocking":            {"openpgp-2.0", "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, test.profile)
			if _, err := d.initialise(Options{}); err != nil {
				t.Fatal(err)
			}
			if test.profile == "openpgp-2.0" {
				d.blockUser()
			} else {
				d.generate("OPENPGP.3")
			}
			if test.current != "" {
				d.pins[secret.CurrentAdminPIN] = test.current
			}
			d.pins[secret.PIN], d.pins[secret.AdminPIN] = "111111", "22222222"
			report, err := d.initialise(Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !report.Erased {
				t.Errorf("%+v", report)
			}
			if test.profile == "" && (len(report.Lost) != 1 || !strings.Contains(d.question, report.Lost[0])) {
				t.Errorf("lost %v, asked %q", report.Lost, d.question)
			}
			d.checkPINs("111111", "22222222")
			if info := d.inspect(); len(info.Keys) > 0 {
				t.Errorf("still there: %+v", info.Keys)
			}
		})
	}
}

func TestInitialiseSaysThatTheFactoryPINsAreGone(t *testing.T) {
	for pin, wants := range map[PIN]string{User: "cardctl set-pin user changes it", Admin: "cardctl set-pin admin changes it"} {
		d := newDesk(t, "no-terminate")
		d.pins = map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "12345678", secret.NewPIN: "11111111"}
		if err := d.setPIN(pin); err != nil {
			t.Fatal(err)
		}
		d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
		_, err := d.initialise(Options{})
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.PINIncorrect || p.Try != wants || p.TriesLeft == nil || *p.TriesLeft != 2 {
			t.Errorf("%s: %v", pin, err)
		}
	}
}

func TestInitialiseRemovesAResettingCode(t *testing.T) {
	d := newDesk(t, "reset-code-counted")
	d.pins[secret.AdminPIN], d.pins[secret.NewPIN] = "12345678", "reset-code"
	if err := d.setPIN(ResetCode); err != nil {
		t.Fatal(err)
	}
	d.pins[secret.AdminPIN] = "87654321"
	if _, err := d.initialise(Options{}); err != nil {
		t.Fatal(err)
	}
	d.pins = map[secret.Name]string{secret.ResetCode: "reset-code", secret.NewPIN: "222222"}
	if err := d.unblock(secret.ResetCode); err == nil {
		t.Error("the resetting code that was set before opens the card")
	}
	d.checkPINs("654321", "87654321")
}

func TestInitialiseACardThatWantsItsPINsBlocked(t *testing.T) {
	d := newDesk(t, "terminate-when-blocked")
	d.pins[secret.AdminPIN] = "12345678"
	d.generate("OPENPGP.3")
	d.pins[secret.AdminPIN] = "87654321"
	d.pins[secret.CurrentAdminPIN] = "12345678"
	_, err := d.initialise(Options{})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.NotSupported || !strings.Contains(p.Try, "without --current-admin-pin") {
		t.Fatal(err)
	}
	delete(d.pins, secret.CurrentAdminPIN)
	if _, err := d.initialise(Options{}); err != nil {
		t.Fatal(err)
	}
	d.checkPINs("654321", "87654321")
}

func (d *desk) blockUser() {
	d.session(func(ch *iso7816.Channel) {
		if _, err := ch.Select(d.t.Context(), []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01}); err != nil {
			d.t.Fatal(err)
		}
		for range 3 {
			_, _ = ch.Send(d.t.Context(), iso7816.Command{INS: iso7816.InsVerify, P2: 0x82, Data: []byte("999999")}) // wrong on purpose
		}
	})
}

func TestInitialiseFindsThatTheFactoryPINsAreGone(t *testing.T) {
	d := newDesk(t, "")
	if _, err := d.initialise(Options{}); err != nil {
		t.Fatal(err)
	}
	report, err := d.initialise(Options{})
	if err != nil || !report.Erased {
		t.Fatalf("%+v, %v", report, err)
	}
	d.checkPINs("654321", "87654321")
}

func TestInitialiseKeepsTheFactoryPINs(t *testing.T) {
	d := newDesk(t, "")
	d.pins = nil
	report, err := d.initialise(Options{FactoryPINs: true})
	if err != nil || report.PINs != "factory" {
		t.Fatalf("%+v, %v", report, err)
	}
	d.checkPINs("123456", "12345678")
}

func TestInitialiseChangesNothingWhenItCannotGoOn(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*desk)
		options Options
		profile string
		code    problem.Code
	}{
		"not confirmed":            {prepare: func(d *desk) { d.refuse = true }, code: problem.Refused},
		"no PIN and nobody to ask": {prepare: func(d *desk) { delete(d.pins, secret.AdminPIN) }, code: problem.Usage},
		"short user PIN":           {prepare: func(d *desk) { d.pins[secret.PIN] = "12345" }, code: problem.Usage},
		"short admin PIN":          {prepare: func(d *desk) { d.pins[secret.AdminPIN] = "1234567" }, code: problem.Usage},
		"wrong current admin PIN":  {prepare: func(d *desk) { d.generate("OPENPGP.3"); d.pins[secret.CurrentAdminPIN] = "00000000" }, code: problem.PINIncorrect},
		"a card that cannot be erased": {
			profile: "no-terminate", prepare: func(d *desk) { d.generate("OPENPGP.3") }, code: problem.NotSupported,
		},
		"a label":             {options: Options{Label: "desk"}, code: problem.NotSupported},
		"another application": {options: Options{Application: "piv"}, code: problem.NotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, test.profile)
			d.pins = map[secret.Name]string{secret.AdminPIN: "12345678", secret.PIN: "654321"}
			if test.prepare != nil {
				test.prepare(d)
			}
			before := d.inspect()
			_, err := d.initialise(test.options)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != test.code {
				t.Fatalf("%v, want %s", err, test.code)
			}
			after := d.inspect()
			if len(after.Keys) != len(before.Keys) {
				t.Errorf("before %+v, after %+v", before.Keys, after.Keys)
			}
			if test.code != problem.PINIncorrect {
				d.checkPINs("123456", "12345678")
			}
		})
	}
}

// TestInitialiseOnACardThatIsPulled: what the error says of the PINs is so.
func TestInitialiseOnACardThatIsPulled(t *testing.T) {
	seen := map[string]bool{}
	for n := 1; ; n++ {
		card, err := cardsim.NewCard(cardsim.Options{}, cardsim.RemoveAfter(n))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = card.Close() })
		d := &desk{t: t, card: card, pins: map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}}
		_, err = d.initialise(Options{})
		if err == nil {
			break
		}
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.CardRemoved {
			t.Fatalf("APDU %d: %v", n, err)
		}
		user, admin := d.takes(0x81, "654321"), d.takes(0x83, "87654321")
		for said, wrong := range map[string]bool{
			"Nothing on the card was changed":        user || admin,
			"The user PIN is the new one":            !user,
			"the admin PIN still the factory's":      admin,
			"The user PIN is the factory's or":       false,
			"the admin PIN the factory's or the new": false,
		} {
			if strings.Contains(p.Why, said) {
				seen[said] = true
				if wrong {
					t.Errorf("APDU %d: new user PIN %v, new admin PIN %v, and %q", n, user, admin, p.Why)
				}
			}
		}
	}
	if !seen["The user PIN is the factory's or"] || !seen["the admin PIN the factory's or the new"] {
		t.Errorf("the card was not pulled while the PINs were changed: %v", seen)
	}
}

// takes tells whether the card takes the password, which costs a try.
func (d *desk) takes(ref byte, password string) (ok bool) {
	d.session(func(ch *iso7816.Channel) {
		if _, err := ch.Select(d.t.Context(), []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01}); err != nil {
			d.t.Fatal(err)
		}
		_, err := ch.Send(d.t.Context(), iso7816.Command{INS: iso7816.InsVerify, P2: ref, Data: []byte(password)})
		ok = err == nil
	})
	return ok
}
