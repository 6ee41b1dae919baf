package openpgp

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// newPINs is a table at which these PINs are typed for init.
func newPINs(t *testing.T, profile string, faults ...cardsim.Fault) *table {
	t.Helper()
	d := newTable(t, profile, faults...)
	d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
	return d
}

func TestInitialiseABlankCard(t *testing.T) {
	for _, profile := range []string{"", "openpgp-2.0", "wrong-pin-6982", "no-terminate", "reset-code-counted", "extended-length-refused", "exact-le-6cxx", "absent-certificate-8800", "certificate-with-tag"} {
		t.Run(profile, func(t *testing.T) {
			d := newPINs(t, profile)
			report, err := d.initialise(card.InitOptions{})
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
			d := newPINs(t, test.profile)
			if _, err := d.initialise(card.InitOptions{}); err != nil {
				t.Fatal(err)
			}
			if test.profile == "openpgp-2.0" {
				d.burn(0x82, 3)
			} else {
				d.generate("OPENPGP.3")
			}
			if test.current != "" {
				d.pins[secret.CurrentAdminPIN] = test.current
			}
			d.pins[secret.PIN], d.pins[secret.AdminPIN] = "111111", "22222222"
			report, err := d.initialise(card.InitOptions{})
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
			if keys := d.keys(); len(keys) > 0 {
				t.Errorf("still there: %+v", keys)
			}
		})
	}
}

func TestInitialiseSaysThatTheFactoryPINsAreGone(t *testing.T) {
	for _, role := range []pin.Role{pin.User, pin.Admin} {
		wants := advice.Do(advice.SetPIN).On(string(role))
		d := newPINs(t, "no-terminate")
		d.pins = map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "12345678", secret.NewPIN: "11111111"}
		if err := d.setPIN(role); err != nil {
			t.Fatal(err)
		}
		d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
		_, err := d.initialise(card.InitOptions{})
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.PINIncorrect || !reflect.DeepEqual(p.Next, wants) || p.TriesLeft == nil || *p.TriesLeft != 2 {
			t.Errorf("%s: %v", role, err)
		}
	}
}

func TestInitialiseRemovesAResettingCode(t *testing.T) {
	d := newPINs(t, "reset-code-counted")
	d.pins[secret.AdminPIN], d.pins[secret.NewPIN] = "12345678", "reset-code"
	if err := d.setPIN(pin.ResetCode); err != nil {
		t.Fatal(err)
	}
	d.pins[secret.AdminPIN] = "87654321"
	if _, err := d.initialise(card.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	d.pins = map[secret.Name]string{secret.ResetCode: "reset-code", secret.NewPIN: "222222"}
	if err := d.unblock(secret.ResetCode); err == nil {
		t.Error("the resetting code that was set before opens the card")
	}
	d.checkPINs("654321", "87654321")
}

func TestInitialiseACardThatWantsItsPINsBlocked(t *testing.T) {
	d := newPINs(t, "terminate-when-blocked")
	d.pins[secret.AdminPIN] = "12345678"
	d.generate("OPENPGP.3")
	d.pins[secret.AdminPIN] = "87654321"
	d.pins[secret.CurrentAdminPIN] = "12345678"
	_, err := d.initialise(card.InitOptions{})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.NotSupported || !slices.Contains(p.Next.Omit, advice.Field(secret.CurrentAdminPIN)) {
		t.Fatal(err)
	}
	delete(d.pins, secret.CurrentAdminPIN)
	if _, err := d.initialise(card.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	d.checkPINs("654321", "87654321")
}

// TestInitialiseFindsThatTheFactoryPINsAreGone: a card that has the new PINs
// already is done, another one is erased.
func TestInitialiseFindsThatTheFactoryPINsAreGone(t *testing.T) {
	d := newPINs(t, "")
	for i, user := range []string{"654321", "654321", "111111"} {
		d.pins[secret.PIN] = user
		report, err := d.initialise(card.InitOptions{})
		if err != nil || report.Erased != (i == 2) {
			t.Fatalf("%d: %+v, %v", i, report, err)
		}
		d.checkPINs(user, "87654321")
	}
}

// TestInitGoesOnFromAnInterruption: where the new PINs were set half, no PIN is
// blocked and nothing erased.
func TestInitGoesOnFromAnInterruption(t *testing.T) {
	for _, current := range []string{"", "99999999"} {
		d := newTable(t, "")
		d.pins = map[secret.Name]string{secret.PIN: "123456", secret.NewPIN: "654321"}
		if err := d.setPIN(pin.User); err != nil {
			t.Fatal(err)
		}
		d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
		if current != "" {
			d.pins[secret.CurrentAdminPIN] = current
		}
		if report, err := d.initialise(card.InitOptions{}); err != nil || report.Erased {
			t.Errorf("%+v, %v", report, err)
		}
		d.checkPINs("654321", "87654321")
	}
}

// TestInitByTheAdminPINThatIsNamed: it is verified before anything else, on a card that
// can be erased and on one that cannot.
func TestInitByTheAdminPINThatIsNamed(t *testing.T) {
	for _, profile := range []string{"", "no-terminate"} {
		for _, current := range []string{"99999999", "33333333"} {
			d := newPINs(t, profile)
			d.pins = map[secret.Name]string{secret.AdminPIN: "12345678", secret.NewPIN: "33333333"}
			if err := d.setPIN(pin.Admin); err != nil {
				t.Fatal(err)
			}
			d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321", secret.CurrentAdminPIN: current}
			_, err := d.initialise(card.InitOptions{Named: []secret.Name{secret.CurrentAdminPIN}})
			if current == "99999999" {
				if tries := d.tries(); !problem.Is(err, problem.PINIncorrect) || tries[0] != 3 || tries[2] != 2 {
					t.Errorf("%q, a wrong one: %v, tries %v", profile, err, tries)
				}
				continue
			}
			if err != nil {
				t.Errorf("%q: %v", profile, err)
			}
			d.checkPINs("654321", "87654321")
		}
	}
}

func TestInitialiseKeepsTheFactoryPINs(t *testing.T) {
	d := newPINs(t, "")
	d.pins = nil
	report, err := d.initialise(card.InitOptions{FactoryPINs: true})
	if err != nil || report.PINs != "factory" {
		t.Fatalf("%+v, %v", report, err)
	}
	d.checkPINs("123456", "12345678")
}

func TestInitialiseChangesNothingWhenItCannotGoOn(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*table)
		options card.InitOptions
		profile string
		code    problem.Code
	}{
		"not confirmed":            {prepare: func(d *table) { d.refuse = true }, code: problem.Refused},
		"no PIN and nobody to ask": {prepare: func(d *table) { delete(d.pins, secret.AdminPIN) }, code: problem.Usage},
		"short user PIN":           {prepare: func(d *table) { d.pins[secret.PIN] = "12345" }, code: problem.Usage},
		"short admin PIN":          {prepare: func(d *table) { d.pins[secret.AdminPIN] = "1234567" }, code: problem.Usage},
		"wrong current admin PIN":  {prepare: func(d *table) { d.generate("OPENPGP.3"); d.pins[secret.CurrentAdminPIN] = "00000000" }, code: problem.PINIncorrect},
		"a card that cannot be erased": {
			profile: "no-terminate", prepare: func(d *table) { d.generate("OPENPGP.3") }, code: problem.NotSupported,
		},
		"a label": {options: card.InitOptions{Label: "desk"}, code: problem.NotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			d := newPINs(t, test.profile)
			d.pins = map[secret.Name]string{secret.AdminPIN: "12345678", secret.PIN: "654321"}
			if test.prepare != nil {
				test.prepare(d)
			}
			before := d.keys()
			_, err := d.initialise(test.options)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != test.code {
				t.Fatalf("%v, want %s", err, test.code)
			}
			after := d.keys()
			if len(after) != len(before) {
				t.Errorf("before %+v, after %+v", before, after)
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
		d := newPINs(t, "", cardsim.RemoveAfter(n))
		_, err := d.initialise(card.InitOptions{})
		if err == nil {
			break
		}
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.CardRemoved {
			t.Fatalf("APDU %d: %v", n, err)
		}
		user, admin := d.takes(0x81, "654321"), d.takes(0x83, "87654321")
		for said, wrong := range map[string]bool{
			"Nothing on the card was changed":             user || admin,
			"The user PIN is the new one":                 !user,
			"the admin PIN is still the factory PIN":      admin,
			"The user PIN is the factory PIN or":          false,
			"the admin PIN is the factory PIN or the new": false,
		} {
			if strings.Contains(p.Why, said) {
				seen[said] = true
				if wrong {
					t.Errorf("APDU %d: new user PIN %v, new admin PIN %v, and %q", n, user, admin, p.Why)
				}
			}
		}
	}
	if !seen["The user PIN is the factory PIN or"] || !seen["the admin PIN is the factory PIN or the new"] {
		t.Errorf("the card was not pulled while the PINs were changed: %v", seen)
	}
}
