package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// slot is a reader of a PC/SC daemon that is made of simulated cards.
type slot struct {
	name string
	card *cardsim.Card // nil where the reader is empty
	busy bool
}

// slots are readers.
type slots []slot

func (s slots) Readers(context.Context) ([]pcsc.Reader, error) {
	list := make([]pcsc.Reader, len(s))
	for i, r := range s {
		list[i] = pcsc.Reader{Name: r.name, CardPresent: r.card != nil, InUse: r.busy}
	}
	return list, nil
}

func (s slots) Connect(ctx context.Context, reader string) (iso7816.Connection, error) {
	for _, r := range s {
		if r.name == reader && r.busy {
			return nil, (&pcsc.BusyError{Reader: reader, Holders: []pcsc.Process{{PID: 7, Name: "scdaemon"}}}).Problem()
		}
		if r.name == reader {
			return r.card.Connect(ctx)
		}
	}
	return nil, problem.New(problem.NotFound, "reader %s: not there", reader)
}

func (s slots) WaitForCard(ctx context.Context, want func(pcsc.Reader) bool) (pcsc.Reader, error) {
	list, _ := s.Readers(ctx)
	for _, r := range list {
		if want(r) {
			return r, nil
		}
	}
	<-ctx.Done()
	return pcsc.Reader{}, ctx.Err()
}

func (s slots) Close() error { return nil }

// simulated is a card in memory with this number.
func simulated(t *testing.T, serial string) *cardsim.Card {
	t.Helper()
	c, err := cardsim.NewCard(cardsim.Options{Serial: serial})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhichCard(t *testing.T) {
	one := slots{{name: "Alpha Reader 00", card: simulated(t, "00000001")}}
	two := slots{
		{name: "Alpha Reader 00", card: simulated(t, "11110001")},
		{name: "Alpha Reader 01"},
		{name: "Beta Reader", card: simulated(t, "22220001")},
	}
	busy := slots{two[0], {name: "Gamma Reader", card: simulated(t, "33330003"), busy: true}}
	for name, test := range map[string]struct {
		readers slots
		args    string
		exit    int
		says    string // in the output of info
	}{
		"the only card":                       {one, "", 0, "FFFE00000001"},
		"no reader":                           {slots{}, "", 3, "doctor"},
		"no card":                             {slots{{name: "Alpha"}}, "", 3, "list-readers --wait"},
		"several cards are listed":            {two, "", 3, `"Alpha Reader 00", "Beta Reader"`},
		"by index":                            {two, "-r 2", 0, "FFFE22220001"},
		"by an index that is not there":       {two, "-r 3", 3, "Beta"},
		"by a part of the name":               {two, "-r bet", 0, "FFFE22220001"},
		"by the whole name":                   {slots{{name: "Beta Reader 2"}, two[2]}, "-r Beta§Reader", 0, "FFFE22220001"},
		"by a part that several have":         {two, "-r alpha", 3, `"Alpha Reader 00", "Alpha Reader 01"`},
		"by a part that none has":             {two, "-r delta", 3, "Beta Reader"},
		"a reader without a card":             {two, "-r 1", 3, "no card in Alpha Reader 01"},
		"by serial":                           {two, "--serial FFFE22220001", 0, "Beta Reader"},
		"by the ending of a serial":           {two, "--serial 20001", 0, "Beta Reader"},
		"by serial as people write it":        {two, "--serial fffe:2222:0001", 0, "Beta Reader"},
		"by an ending that several have":      {two, "--serial 0001", 3, "FFFE22220001 in Beta Reader"},
		"by a serial that none has":           {two, "--serial 77", 3, "FFFE11110001 in Alpha Reader 00"},
		"by serial and the wrong reader":      {two, "--serial FFFE22220001 -r 0", 3, "FFFE11110001"},
		"a busy card":                         {busy, "-r gamma", 6, "gpgconf --kill scdaemon"},
		"by serial beside a busy card":        {busy, "--serial 11110001", 0, "Alpha"},
		"by a serial that is on the busy one": {busy, "--serial 33330003", 6, "scdaemon"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, "CARDCTL_READER=")
			d.readers = test.readers
			args := []string{"info"}
			for _, arg := range strings.Fields(test.args) {
				args = append(args, strings.ReplaceAll(arg, "§", " "))
			}
			r := d.run(context.Background(), args)
			if r.exit != test.exit || !strings.Contains(r.stdout+r.stderr, test.says) {
				t.Errorf("exit status %d, want %d and %q\n%s%s", r.exit, test.exit, test.says, r.stdout, r.stderr)
			}
			for _, s := range test.readers {
				if s.card == nil {
					continue
				}
				connection, err := s.card.Connect(context.Background())
				if err != nil {
					t.Fatalf("the card in %s was not let go: %v", s.name, err)
				}
				_ = connection.Close(true)
			}
		})
	}
}

func TestListReadersGoesOnWithTheOthers(t *testing.T) {
	d := newDesk(t, "CARDCTL_READER=")
	d.readers = slots{
		{name: "Alpha", card: simulated(t, "00000001"), busy: true},
		{name: "Beta"},
		{name: "Gamma", card: simulated(t, "00000003")},
	}
	got := d.must("list-readers").stdout
	for _, want := range []string{"0  Alpha", "scdaemon", "1  Beta", "none", "2  Gamma", "FFFE00000003", "3  sim:desk"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestWaitWantsTheCardThatIsNamed(t *testing.T) {
	d := newDesk(t, "CARDCTL_READER=")
	d.readers = slots{{name: "Alpha"}, {name: "Beta", card: simulated(t, "00000002")}}
	for args, exit := range map[string]int{
		"":                           0,
		"-r beta":                    0,
		"--serial 0002":              0,
		"-r alpha --timeout 20ms":    1,
		"-r a --timeout 20ms":        3,
		"--serial 77 --timeout 20ms": 1,
	} {
		r := d.run(context.Background(), append([]string{"list-readers", "--wait"}, strings.Fields(args)...))
		if r.exit != exit || exit == 1 && !strings.Contains(r.stderr, "gave up after 20ms") {
			t.Errorf("%s: exit status %d\n%s", args, r.exit, r.stderr)
		}
	}
}

// TestTimeoutAndInterrupt end a slow card, and leave its tries alone.
func TestTimeoutAndInterrupt(t *testing.T) {
	d := newDesk(t)
	d.must("init", "--yes")
	slow := cardsim.Delay(50 * time.Millisecond)
	r := d.run(context.Background(), []string{"gen-key", "-k", "OPENPGP.1", "--timeout", "120ms"}, slow)
	if r.exit != 1 || !strings.Contains(r.stderr, "gave up after 120ms") {
		t.Errorf("exit status %d\n%s", r.exit, r.stderr)
	}
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(120*time.Millisecond, stop)
	r = d.run(ctx, []string{"gen-key", "-k", "OPENPGP.1", "-o", "json"}, slow)
	if r.exit != 130 || !strings.Contains(r.stderr, `"code":"interrupted"`) {
		t.Errorf("exit status %d\n%s", r.exit, r.stderr)
	}
	for _, p := range d.info().PINs {
		if p.Set && p.TriesLeft != 3 {
			t.Errorf("PIN %s has %d tries left", p.Name, p.TriesLeft)
		}
	}
}

// TestBusySimulatedCard is two commands on one card: the second waits as long
// as --timeout says.
func TestBusySimulatedCard(t *testing.T) {
	d := newDesk(t)
	held, err := cardsim.NewStore(d.state + "/sim").Open("desk")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"info", "info --timeout 100ms"} {
		if r := d.run(context.Background(), strings.Fields(args)); r.exit != 6 || !strings.Contains(r.stderr, "holds the card") {
			t.Errorf("%s: exit status %d\n%s", args, r.exit, r.stderr)
		}
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = held.Close() })
	if r := d.run(context.Background(), []string{"info", "--timeout", "10s"}); r.exit != 0 {
		t.Errorf("exit status %d\n%s", r.exit, r.stderr)
	}
}
