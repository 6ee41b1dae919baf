package openpgp

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// job is one workflow, as far as it is this family's.
type job struct {
	prepare func(*table) // nil for a card as it comes from the factory
	pins    map[secret.Name]string
	run     func(*table) error
	// done is what is wrong with a card on which it ended without an error.
	done func(*table) string
	// user is the user PIN before, where that is not the factory's; next are those
	// afterwards.
	user, nextUser, nextAdmin string
	// replaces says that keys may be lost; erases that everything may.
	replaces, erases bool
}

const factoryUser, factoryAdmin = "123456", "12345678"

func made(reference string, algorithm key.Algorithm) func(*table) {
	return func(d *table) {
		d.open(reference, func(k key.Key) {
			if _, err := k.Generate(d.t.Context(), key.Spec{Algorithm: algorithm}); err != nil {
				d.t.Fatal(err)
			}
		})
	}
}

func generating(algorithm key.Algorithm) func(*table) error {
	return func(d *table) error {
		return d.withKey("OPENPGP.3", func(k key.Key) error {
			_, err := k.Generate(d.t.Context(), key.Spec{Algorithm: algorithm})
			return err
		})
	}
}

// named is what is wrong with a key that should be whole.
func named(algorithms ...key.Algorithm) func(*table) string {
	return func(d *table) string {
		now := d.see().slots[2]
		fingerprint, err := app.Fingerprint(app.Authentication, now.public, now.Created)
		if err != nil || fingerprint != now.Fingerprint || !slices.Contains(algorithms, key.AlgorithmOf(now.public)) {
			return fmt.Sprintf("%+v, %v", now, err)
		}
		return ""
	}
}

func stores(value string) func(*table) string {
	return func(d *table) string {
		if now := d.see().slots[2].certificate; now != value {
			return fmt.Sprintf("the certificate is %q", now)
		}
		return ""
	}
}

func storing(value string) func(*table) error {
	return func(d *table) error {
		return d.withKey("OPENPGP.3", func(k key.Key) error { return k.PutCertificate(d.t.Context(), []byte(value), nil) })
	}
}

func fine(*table) string { return "" }

func jobs(t *testing.T) map[string]job {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	initialise := func(d *table) error {
		_, err := d.initialise(card.InitOptions{})
		return err
	}
	fresh := map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
	current := map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321", secret.CurrentAdminPIN: factoryAdmin}
	empty := func(d *table) string {
		if keys := d.keys(); len(keys) > 0 {
			return fmt.Sprint(keys)
		}
		return ""
	}
	coded := func(d *table) {
		d.pins = map[secret.Name]string{secret.AdminPIN: factoryAdmin, secret.NewPIN: "reset-code"}
		if err := d.setPIN(pin.ResetCode); err != nil {
			t.Fatal(err)
		}
		d.burn(0x82, 3)
	}
	return map[string]job{
		"init":                   {pins: fresh, run: initialise, done: empty, nextUser: "654321", nextAdmin: "87654321", erases: true},
		"init, used":             {prepare: made("OPENPGP.3", key.P256), pins: fresh, run: initialise, done: empty, nextUser: "654321", nextAdmin: "87654321", erases: true},
		"init, used, by its PIN": {prepare: made("OPENPGP.3", key.P256), pins: current, run: initialise, done: empty, nextUser: "654321", nextAdmin: "87654321", erases: true},
		"set-pin user": {
			pins: map[secret.Name]string{secret.PIN: factoryUser, secret.NewPIN: "654321"}, nextUser: "654321", done: fine,
			run: func(d *table) error { return d.setPIN(pin.User) },
		},
		"set-pin admin": {
			pins: map[secret.Name]string{secret.AdminPIN: factoryAdmin, secret.NewPIN: "87654321"}, nextAdmin: "87654321", done: fine,
			run: func(d *table) error { return d.setPIN(pin.Admin) },
		},
		"set-pin reset-code": {
			pins: map[secret.Name]string{secret.AdminPIN: factoryAdmin, secret.NewPIN: "reset-code"}, done: fine,
			run: func(d *table) error { return d.setPIN(pin.ResetCode) },
		},
		"unblock-pin by the admin PIN": {
			prepare: func(d *table) { d.burn(0x82, 3) }, user: "999999", nextUser: "654321", done: fine,
			pins: map[secret.Name]string{secret.AdminPIN: factoryAdmin, secret.NewPIN: "654321"},
			run:  func(d *table) error { return d.unblock(secret.AdminPIN) },
		},
		"unblock-pin by the code": {
			prepare: coded, user: "999999", nextUser: "654321", done: fine,
			pins: map[secret.Name]string{secret.ResetCode: "reset-code", secret.NewPIN: "654321"},
			run:  func(d *table) error { return d.unblock(secret.ResetCode) },
		},
		"gen-key":                          {run: generating(""), done: named(key.P256, key.RSA2048)},
		"gen-key --replace":                {prepare: made("OPENPGP.3", key.P256), run: generating(key.P256), done: named(key.P256), replaces: true},
		"gen-key --replace, another curve": {prepare: made("OPENPGP.3", key.P256), run: generating(key.P384), done: named(key.P384), replaces: true},
		"import-key": {
			run: func(d *table) error {
				return d.withKey("OPENPGP.3", func(k key.Key) error {
					_, err := k.Import(t.Context(), private, key.Spec{})
					return err
				})
			},
			done: named(key.P256),
		},
		"gen-csr": {
			prepare: made("OPENPGP.3", key.P256),
			run: func(d *table) error {
				return d.withKey("OPENPGP.3", func(k key.Key) error {
					signer, err := k.Signer(t.Context())
					if err == nil {
						_, err = signer.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
					}
					return err
				})
			},
			done: fine,
		},
		"import-cert": {prepare: made("OPENPGP.3", key.P256), run: storing("certificate"), done: stores("certificate")},
		"set-holder": {
			run: func(d *table) error {
				_, err := d.setHolder(card.HolderWish{Name: text("Floppy Head"), URL: text("https://example.com/")})
				return err
			},
			done: func(d *table) string {
				if now := d.holder(); now != (card.Holder{Name: "Floppy Head", URL: "https://example.com/"}) {
					return fmt.Sprintf("%+v", now)
				}
				return ""
			},
		},
		"set-touch": {
			prepare: made("OPENPGP.3", key.P256), run: touching(key.TouchPermanent),
			done: func(d *table) string {
				if now := d.touch(); now != key.TouchPermanent {
					return string(now)
				}
				return ""
			},
		},
		"delete-cert": {
			prepare: func(d *table) {
				if err := storing("certificate")(d); err != nil {
					t.Fatal(err)
				}
			},
			run: func(d *table) error {
				return d.withKey("OPENPGP.3", func(k key.Key) error { return k.DeleteCertificate(t.Context()) })
			},
			done: stores(""),
		},
	}
}

// TestLiedTo has the card say of each command of each workflow something else than
// what it did: no PIN is sent twice, no key is lost, and what the error says is
// so.
func TestLiedTo(t *testing.T) {
	for name, j := range jobs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			honest := j.table(t)
			first := honest.card.Traffic().APDUs + 1
			if err := j.run(honest); err != nil {
				t.Fatal(err)
			}
			last := honest.ended
			if wrong := j.done(honest); wrong != "" {
				t.Fatal(wrong)
			}
			if last < first {
				t.Fatal("nothing was sent")
			}
			points, held := 0, 0
			for n := first; n <= last; n++ {
				for _, status := range cardsim.Lies() {
					for _, done := range []bool{true, false} {
						if status>>8 == 0x61 && !done {
							continue // 61xx is a normal end
						}
						points++
						at := fmt.Sprintf("APDU %d of %d, answered %04X, carried out: %v", n-first+1, last-first+1, uint16(status), done)
						if t.Run(at, func(t *testing.T) { j.lie(t, at, cardsim.Lie(n, status, done)) }) {
							held++
						}
					}
				}
			}
			stack.Held(t, "lied to", "OpenPGP", name, "in-process", points, held)
		})
	}
}

// table is the card before the workflow, which is looked at.
func (j *job) table(t *testing.T, faults ...cardsim.Fault) *table {
	d := newTable(t, "", faults...)
	if j.prepare != nil {
		j.prepare(d)
	}
	d.pins = map[secret.Name]string{secret.PIN: factoryUser, secret.AdminPIN: factoryAdmin}
	if j.pins != nil {
		d.pins = j.pins
	}
	d.before = d.see()
	d.wrap = func(conn iso7816.Connection) iso7816.Connection { return &wire{conn, d} }
	return d
}

func (j *job) lie(t *testing.T, what string, fault cardsim.Fault) {
	t.Helper()
	d := j.table(t, fault)
	err := j.run(d)
	sent := d.sent
	d.wrap = nil
	now := d.see()
	j.checkSent(t, what, sent)
	if err == nil {
		if wrong := j.done(d); wrong != "" {
			t.Errorf("%s: no error, and %s", what, wrong)
		}
	} else {
		j.checkClaims(t, what, d, err.Error(), now)
	}
	if !j.erases && !j.replaces {
		for i := range now.slots {
			if d.before.slots[i].public != nil && !now.slots[i].same(&d.before.slots[i]) {
				t.Errorf("%s: the %s key is lost: %v", what, app.Slot(i+1), err)
			}
		}
	}
	user, admin := j.user, factoryAdmin
	if user == "" {
		user = factoryUser
	}
	if err == nil {
		user, admin = cmp.Or(j.nextUser, user), cmp.Or(j.nextAdmin, admin)
		d.checkPINs(user, admin)
		return
	}
	again := strings.Contains(err.Error(), "Run the same command again to finish")
	if again {
		d.pins = j.pins
		if j.pins == nil {
			d.pins = map[secret.Name]string{secret.PIN: factoryUser, secret.AdminPIN: factoryAdmin}
		}
		delete(d.pins, secret.CurrentAdminPIN)
		if err := j.run(d); err != nil {
			t.Errorf("%s: the same command again: %v", what, err)
		} else if wrong := j.done(d); wrong != "" {
			t.Errorf("%s: the same command again: %s", what, wrong)
		}
	}
}

// checkSent wants no PIN sent again that was not accepted, until the card is
// started anew. Guesses are sent to be wrong.
func (j *job) checkSent(t *testing.T, what string, sent []exchange) {
	t.Helper()
	refused := map[byte][][]byte{}
	for _, e := range sent {
		ref := e.cmd.P2
		switch e.cmd.INS {
		case iso7816.InsActivateFile:
			clear(refused)
			continue
		case iso7816.InsResetRetryCounter:
			if e.cmd.P1 == 2 {
				continue // the new PIN alone
			}
			ref = 0 // the resetting code
		case iso7816.InsVerify, iso7816.InsChangeReferenceData:
			if ref == 0x81 {
				ref = 0x82
			}
		default:
			continue
		}
		if strings.Trim(string(e.cmd.Data), "@") == "" {
			continue
		}
		for _, earlier := range refused[ref] {
			if bytes.HasPrefix(e.cmd.Data, earlier) || bytes.HasPrefix(earlier, e.cmd.Data) {
				t.Errorf("%s: %q was sent after %q was not accepted", what, e.cmd.Data, earlier)
			}
		}
		if e.status != iso7816.StatusOK && e.status>>8 != 0x61 {
			refused[ref] = append(refused[ref], e.cmd.Data)
		}
	}
}

var (
	triesSaid = regexp.MustCompile(`(\d+) tr(?:y|ies) left`)
	wrongSaid = regexp.MustCompile(`wrong (?:user|admin) PIN|wrong resetting code|is blocked`)
)

// checkClaims holds every sentence about the card against the card.
func (j *job) checkClaims(t *testing.T, what string, d *table, said string, now view) {
	t.Helper()
	said = regexp.MustCompile(`\[[^]]*\]|verification failed, \d tr(y|ies) left`).ReplaceAllString(said, "") // what the card said
	slot, was := &now.slots[2], &d.before.slots[2]
	user := cmp.Or(j.user, factoryUser)
	named := func() bool {
		fingerprint, err := app.Fingerprint(app.Authentication, slot.public, slot.Created)
		return err == nil && fingerprint == slot.Fingerprint
	}
	fresh := slot.public != nil && !slot.same(was)
	for claim, so := range map[string]func() bool{
		"Nothing on the card was changed": func() bool {
			return now.equal(&d.before) && (j.user != "" || d.takes(0x82, user)) && d.takes(0x83, factoryAdmin)
		},
		"No PIN was changed": func() bool {
			return (j.user != "" || d.takes(0x82, user)) && d.takes(0x83, factoryAdmin)
		},
		"The card confirmed the new PIN but does not accept it": func() bool { return !d.takes(0x82, "654321") },
		"The user PIN is the new one":                           func() bool { return d.takes(0x82, j.nextUser) },
		"the admin PIN is still the factory PIN":                func() bool { return d.takes(0x83, factoryAdmin) },
		"The new key is in the slot but has no fingerprint yet": func() bool { return fresh && !named() },
		"The new key is in the slot, but":                       func() bool { return fresh },
		"The new key is in the slot.":                           func() bool { return fresh && named() },
		"The previous key is still in the slot":                 func() bool { return slot.public != nil && slot.same(was) },
		"the previous key is lost":                              func() bool { return slot.public == nil },
		"and holds no key":                                      func() bool { return slot.public == nil },
		"The keys are still on the card":                        func() bool { return !now.terminated && slot.same(was) },
		"The card is erased but not yet activated":              func() bool { return now.terminated },
		"The card is erased and has the factory PINs": func() bool {
			return !now.terminated && d.takes(0x82, factoryUser) && d.takes(0x83, factoryAdmin)
		},
		"The card still has a certificate": func() bool { return slot.certificate != "" },
	} {
		if strings.Contains(said, claim) && !so() {
			t.Errorf("%s: %q is not so", what, said)
		}
	}
	if wrongSaid.MatchString(said) {
		t.Errorf("%s: the PINs that were sent are right, and %q", what, said)
	}
	if tries := triesSaid.FindStringSubmatch(said); tries != nil {
		if n, _ := strconv.Atoi(tries[1]); !slices.Contains(now.tries, n) {
			t.Errorf("%s: %v tries are left, and %q", what, now.tries, said)
		}
	}
}

// view is what is on a card.
type view struct {
	terminated bool
	tries      []int
	slots      [3]slotView
}

type slotView struct {
	app.KeyData
	public      crypto.PublicKey
	certificate string
}

func (s *slotView) same(o *slotView) bool {
	return s.public == nil && o.public == nil || s.public != nil && o.public != nil && pubkey.Same(s.public, o.public)
}

func (v *view) equal(o *view) bool {
	for i := range v.slots {
		a, b := &v.slots[i], &o.slots[i]
		if !a.same(b) || !sameKey(&a.KeyData, &b.KeyData) || a.certificate != b.certificate {
			return false
		}
	}
	return v.terminated == o.terminated
}

// see looks at the card behind everybody's back.
func (d *table) see() (v view) {
	d.t.Helper()
	ctx := d.t.Context()
	conn, err := d.card.Connect(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = conn.Close(true) }()
	c, err := app.Select(ctx, iso7816.NewChannel(conn, iso7816.Capabilities{Chaining: true}))
	if err != nil {
		d.t.Fatal(err)
	}
	if v.terminated = c.Terminated(); v.terminated {
		return v
	}
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	p := data.Passwords
	v.tries = []int{p.PW1.TriesLeft, p.RC.TriesLeft, p.PW3.TriesLeft}
	for i, slot := range app.Slots() {
		v.slots[i].KeyData = *data.Key(slot)
		if public, err := c.PublicKey(ctx, slot); err == nil {
			v.slots[i].public = public
		} else if !errors.Is(err, app.ErrNoKey) {
			d.t.Fatal(err)
		}
		value, err := c.Certificate(ctx, slot)
		if err != nil {
			d.t.Fatal(err)
		}
		v.slots[i].certificate = string(value)
	}
	return v
}

// wire notes what is sent, and what the host is answered.
type wire struct {
	iso7816.Connection
	d *table
}

type exchange struct {
	cmd    iso7816.Command
	status iso7816.Status
}

func (w *wire) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	cmd, _, err := iso7816.ParseCommand(bytes.Clone(apdu))
	if err != nil {
		return nil, err
	}
	answer, err := w.Connection.Transmit(ctx, apdu)
	e := exchange{cmd: cmd}
	if n := len(answer); err == nil && n >= 2 {
		e.status = iso7816.Status(answer[n-2])<<8 | iso7816.Status(answer[n-1])
	}
	w.d.sent = append(w.d.sent, e)
	w.d.ended = w.d.card.Traffic().APDUs
	return answer, err
}
