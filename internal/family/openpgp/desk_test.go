package openpgp

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

var today = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// table is a simulated card in a reader, and what is typed at it.
type table struct {
	t    *testing.T
	card *cardsim.Card
	// wrap stands between line and card where it is set.
	wrap func(iso7816.Connection) iso7816.Connection
	pins map[secret.Name]string
	// typed says that a person types: the card is let go meanwhile. waiting is
	// called then.
	typed    bool
	waiting  func()
	asked    []secret.Request
	last     bool // --allow-last-try
	unknown  bool // --allow-unknown-tries
	question string
	refuse   bool

	// Of the tests that look at what is sent: the APDUs, how many the card has seen
	// with the last, and what was on the card before.
	sent   []exchange
	ended  int
	before view
}

func newTable(t *testing.T, profile string, faults ...cardsim.Fault) *table {
	t.Helper()
	return newTableOf(t, cardsim.Options{Profile: profile}, faults...)
}

func newTableOf(t *testing.T, o cardsim.Options, faults ...cardsim.Fault) *table {
	t.Helper()
	sim, err := cardsim.NewCard(o, faults...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	return &table{t: t, card: sim, pins: map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "12345678"}}
}

// Connect and List are the simulated cards of a desk.
func (d *table) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	conn, err := d.card.Connect(ctx)
	if err != nil || d.wrap == nil {
		return conn, err
	}
	return d.wrap(conn), nil
}

func (d *table) List() ([]cardsim.Info, error) { return nil, nil }

func (d *table) ask(_ context.Context, r secret.Request) (*secret.Bytes, error) {
	d.asked = append(d.asked, r)
	value, given := d.pins[r.Name]
	switch {
	case !given && r.Optional:
		return nil, nil
	case !given:
		return nil, problem.New(problem.Usage, "no %s", r.Name)
	}
	if d.typed && r.Waiting != nil {
		if err := r.Waiting(); err != nil {
			return nil, err
		}
		if d.waiting != nil {
			d.waiting()
		}
	}
	return secret.New([]byte(value)), nil
}

func (d *table) confirm(_ context.Context, q desk.Question) error {
	d.question = q.String()
	if d.refuse {
		return problem.New(problem.Refused, "not confirmed")
	}
	if d.typed && q.Waiting != nil {
		if err := q.Waiting(); err != nil {
			return err
		}
		if d.waiting != nil {
			d.waiting()
		}
	}
	return nil
}

// session is what a workflow has while a card is open.
type session struct {
	card    *onCard
	policy  *pin.Policy
	confirm desk.Confirm
}

// on opens the card, works, and lets it go.
func (d *table) on(work func(context.Context, session) error) error {
	d.t.Helper()
	ctx := d.t.Context()
	line, err := (&desk.Desk{Simulated: d}).OpenIn(ctx, desk.SimulatedPrefix+"card")
	if err != nil {
		d.t.Fatal(err)
	}
	policy := pin.New(line.Asker(d.ask), pin.Allow{LastTry: d.last, UnknownTries: d.unknown})
	access := key.Access{Policy: policy, Now: func() time.Time { return today }, Notify: func(string) {}}
	return errors.Join(func() error {
		c, err := open(ctx, line, card.Opening{App: name, Named: true, Access: access})
		if err != nil {
			return err
		}
		return work(ctx, session{c.(*onCard), policy, line.Confirm(d.confirm)})
	}(), line.Close())
}

// open opens a key and uses it.
func (d *table) open(reference string, use func(key.Key)) {
	d.t.Helper()
	if err := d.withKey(reference, func(k key.Key) error { use(k); return nil }); err != nil {
		d.t.Fatal(err)
	}
}

func (d *table) withKey(reference string, use func(key.Key) error) error {
	d.t.Helper()
	ref, _, err := parse(reference)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.on(func(ctx context.Context, s session) error {
		k, err := s.card.Key(ctx, ref)
		if err != nil {
			return err
		}
		return use(k)
	})
}

// initialise does what the workflow does.
func (d *table) initialise(o card.InitOptions) (report card.InitReport, err error) {
	d.t.Helper()
	err = d.on(func(ctx context.Context, s session) error {
		survey, err := s.card.Survey(ctx, o)
		if err != nil {
			return err
		}
		report = survey.Report
		if err := s.confirm.Ask(ctx, survey.Question); err != nil {
			return err
		}
		given := map[secret.Name]*secret.Bytes{}
		for _, need := range survey.Needs {
			if given[need.Request.Name], err = s.policy.Ask(ctx, need.Request, need.PIN); err != nil {
				return err
			}
		}
		report, err = s.card.Initialise(ctx, survey, given)
		return err
	})
	return report, err
}

// change does what the workflow for PINs does.
func (d *table) change(how func(context.Context, *onCard) (pin.Change, error)) error {
	d.t.Helper()
	return d.on(func(ctx context.Context, s session) error {
		change, err := how(ctx, s.card)
		if err != nil {
			return err
		}
		err = s.policy.Change(ctx, change)
		var told *pin.StateError
		if errors.As(err, &told) {
			return key.Explain(told.Unwrap(), "the PIN", told.State)
		}
		return err
	})
}

func (d *table) setPIN(role pin.Role) error {
	return d.change(func(ctx context.Context, c *onCard) (pin.Change, error) { return c.SetPIN(ctx, role) })
}

func (d *table) unblock(by secret.Name) error {
	return d.change(func(ctx context.Context, c *onCard) (pin.Change, error) { return c.UnblockPIN(ctx, pin.User, by) })
}

// send sends one command behind everybody's back.
func (d *table) send(cmd iso7816.Command) ([]byte, error) {
	d.t.Helper()
	conn, err := d.card.Connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = conn.Close(true) }()
	ch := iso7816.NewChannel(conn, iso7816.Capabilities{})
	if _, err := ch.Select(d.t.Context(), []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01}); err != nil {
		return nil, err
	}
	return ch.Send(d.t.Context(), cmd)
}

// takes tells whether the card takes the password, which costs a try if not.
func (d *table) takes(ref byte, password string) bool {
	_, err := d.send(iso7816.Command{INS: iso7816.InsVerify, P2: ref, Data: []byte(password)})
	return err == nil
}

// burn uses up tries.
func (d *table) burn(ref byte, n int) {
	for range n {
		d.takes(ref, "99999999")
	}
}

// tries are those left of user PIN, resetting code and admin PIN.
func (d *table) tries() []int {
	answer, err := d.send(iso7816.Command{INS: iso7816.InsGetData, P2: 0xC4, Ne: 256})
	if err != nil {
		d.t.Fatal(err)
	}
	return []int{int(answer[4]), int(answer[5]), int(answer[6])}
}

// checkPINs verifies that the card takes these PINs.
func (d *table) checkPINs(user, admin string) {
	d.t.Helper()
	for ref, value := range map[byte]string{0x82: user, 0x83: admin} {
		if !d.takes(ref, value) {
			d.t.Errorf("the card does not take %s as %02X", value, ref)
		}
	}
}

// keys are the places with a key in it.
func (d *table) keys() (refs []string) {
	d.t.Helper()
	err := d.on(func(ctx context.Context, s session) error {
		all, err := s.card.Keys(ctx)
		for _, k := range all {
			occupant, failed := k.Occupant(ctx)
			err = errors.Join(err, failed)
			if occupant != nil {
				refs = append(refs, k.Reference().String())
			}
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return slices.Clip(refs)
}

func (d *table) generate(reference string) {
	d.t.Helper()
	d.open(reference, func(k key.Key) {
		if _, err := k.Generate(d.t.Context(), key.Spec{Algorithm: key.P256}); err != nil {
			d.t.Fatal(err)
		}
	})
}

// generateAs makes a key by this admin PIN.
func (d *table) generateAs(admin string) {
	d.t.Helper()
	typed := d.pins
	d.pins = map[secret.Name]string{secret.AdminPIN: admin}
	d.generate("OPENPGP.3")
	d.pins = typed
}

// terminate leaves the card as an interrupted erasure does.
func (d *table) terminate() {
	d.t.Helper()
	d.burn(0x82, 3)
	d.burn(0x83, 3)
	if _, err := d.send(iso7816.Command{INS: iso7816.InsTerminateDF}); err != nil {
		d.t.Fatal(err)
	}
}
