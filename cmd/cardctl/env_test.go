package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/terminal"
	"github.com/cardctl/cardctl/test/opensc"
)

// testDesk runs the whole command tree in process, on a simulated card that faults
// can be asked for.
type testDesk struct {
	t     *testing.T
	state string
	vars  []string
	// readers are those of the PC/SC daemon; nil for no daemon.
	readers desk.Readers
	// live says that stderr is a terminal.
	live bool
	// connect reaches simulated cards another way, where it is not nil.
	connect func(context.Context, string) (iso7816.Connection, error)
	// programs runs those of OpenSC, where it is not nil.
	programs runner.Func
	// inReader says that the simulated card called desk is in a reader of the PC/SC daemon,
	// where programs of OpenSC work on it too.
	inReader bool
	// open is the terminal of somebody who can be asked; nil for nobody.
	open func() (in, out *os.File, err error)
}

// modulesOfTests are the modules of all commands in this process, which run side by side: a
// library is initialised once in a process.
var modulesOfTests = sync.OnceValue(desk.NewModules)

// The PINs of the cards in these tests.
const (
	userPIN  = "426719"
	adminPIN = "31415926"
)

// newDesk makes a card called desk.
func newDesk(t *testing.T, vars ...string) *testDesk {
	t.Helper()
	d := &testDesk{t: t, state: t.TempDir(), vars: append([]string{
		"CARDCTL_READER=sim:desk", "CARDCTL_PIN=" + userPIN, "CARDCTL_ADMIN_PIN=" + adminPIN,
	}, vars...)}
	d.must("sim", "create", "desk")
	return d
}

// result is what a run came to.
type result struct {
	exit           int
	stdout, stderr string
	// traffic is what cards with faults got, over all connections.
	traffic cardsim.Traffic
}

// run runs a command. Nobody can be asked unless there is a terminal.
func (d *testDesk) run(ctx context.Context, args []string, faults ...cardsim.Fault) result {
	var out, errs bytes.Buffer
	var cards []*cardsim.Card
	if d.inReader {
		card, err := cardsim.NewStore(filepath.Join(d.state, "sim")).Open("desk", faults...)
		if err != nil {
			d.t.Fatal(err)
		}
		defer func() { _ = card.Close() }()
		seated := *d
		seated.readers, seated.programs = slots{{name: opensc.Reader, card: card}}, (&opensc.Programs{Connect: card.Connect}).Tools().Run
		d, cards, faults = &seated, append(cards, card), nil
	}
	open := d.open
	if open == nil {
		open = func() (in, out *os.File, err error) { return nil, nil, os.ErrNotExist }
	}
	env := &Env{
		In: strings.NewReader(""), Out: &out, Err: &errs, Now: time.Now,
		Environ:  append([]string{"CARDCTL_STATE_DIR=" + d.state}, d.vars...),
		terminal: terminal.New(terminal.Options{Plain: true, Open: open}), programs: d.programs,
		live: d.live, modules: modulesOfTests(),
	}
	env.openReaders = func(context.Context, pcsc.Options) (desk.Readers, error) {
		if d.readers == nil {
			return nil, problem.New(problem.NotFound, "no PC/SC daemon")
		}
		return d.readers, nil
	}
	if d.connect != nil {
		env.cards = connectOver{newSession(env).store(), d.connect}
	}
	if len(faults) > 0 {
		env.cards = connectOver{newSession(env).store(), func(ctx context.Context, name string) (iso7816.Connection, error) {
			c, held, err := d.hold(ctx, name, faults...)
			if c != nil {
				cards = append(cards, c)
			}
			return held, err
		}}
	}
	r := result{exit: run(ctx, env, args), stdout: out.String(), stderr: errs.String()}
	for _, c := range cards {
		r.traffic.APDUs += c.Traffic().APDUs
		r.traffic.Writes += c.Traffic().Writes
	}
	return r
}

// hold connects to a simulated card, with faults.
func (d *testDesk) hold(ctx context.Context, name string, faults ...cardsim.Fault) (*cardsim.Card, iso7816.Connection, error) {
	c, err := cardsim.NewStore(filepath.Join(d.state, "sim")).Open(name, faults...)
	if err != nil {
		return nil, nil, desk.SimulatedProblem(err, name)
	}
	held, err := desk.HoldSimulated(ctx, c)
	return c, held, err
}

// connectOver are simulated cards that are reached another way.
type connectOver struct {
	desk.Simulated
	connect func(context.Context, string) (iso7816.Connection, error)
}

func (c connectOver) Connect(ctx context.Context, name string) (iso7816.Connection, error) {
	return c.connect(ctx, name)
}

// must runs a command that has to succeed.
func (d *testDesk) must(args ...string) result {
	d.t.Helper()
	r := d.run(context.Background(), args)
	if r.exit != 0 {
		d.t.Fatalf("cardctl %s: exit status %d\n%s%s", strings.Join(args, " "), r.exit, r.stdout, r.stderr)
	}
	return r
}

// info is what cardctl info says.
func (d *testDesk) info() cardInfo {
	d.t.Helper()
	var info cardInfo
	if err := json.Unmarshal([]byte(d.must("info", "-o", "json").stdout), &info); err != nil {
		d.t.Fatal(err)
	}
	return info
}

// file is where the state of the card is.
func (d *testDesk) file() string { return filepath.Join(d.state, "sim", "desk.json") }

// save and restore keep what is on the card.
func (d *testDesk) save() []byte {
	d.t.Helper()
	state, err := os.ReadFile(d.file())
	if err != nil {
		d.t.Fatal(err)
	}
	return state
}

func (d *testDesk) restore(state []byte) {
	d.t.Helper()
	if err := os.WriteFile(d.file(), state, 0o600); err != nil {
		d.t.Fatal(err)
	}
}
