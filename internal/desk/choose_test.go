package desk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// slot is a reader; its card is known by its serial.
type slot struct {
	name, serial string // without a serial it is empty
	busy         bool
	broken       error // why its card cannot be looked at
}

// slots are the readers of a PC/SC daemon.
type slots struct {
	list []slot
	open int // connections, and the daemon itself
}

func (s *slots) Readers(context.Context) ([]pcsc.Reader, error) {
	var list []pcsc.Reader
	for _, r := range s.list {
		list = append(list, pcsc.Reader{Name: r.name, CardPresent: r.serial != "", InUse: r.busy})
	}
	return list, nil
}

func (s *slots) Connect(_ context.Context, reader string) (iso7816.Connection, error) {
	for _, r := range s.list {
		if r.name == reader && r.busy {
			return nil, (&pcsc.BusyError{Reader: reader, Holders: []pcsc.Process{{PID: 7, Name: "scdaemon"}}}).Problem()
		}
		if r.name == reader && r.serial == "" {
			return nil, problem.New(problem.NotFound, "no card").Because("No card is in %s.", reader)
		}
		if r.name == reader {
			s.open++
			return &counted{handle: handle{tray: &tray{card: r.serial}, held: true}, slots: s}, nil
		}
	}
	return nil, problem.New(problem.NotFound, "reader %s: not there", reader)
}

// counted is a connection that is missed if nobody closes it.
type counted struct {
	handle
	slots *slots
}

func (c *counted) Close(bool) error { c.slots.open--; return nil }

func (s *slots) WaitForCard(ctx context.Context, want func(pcsc.Reader) bool) (pcsc.Reader, error) {
	list, _ := s.Readers(ctx)
	for _, r := range list {
		if want(r) {
			return r, nil
		}
	}
	<-ctx.Done()
	return pcsc.Reader{}, ctx.Err()
}

func (s *slots) Close() error { s.open--; return nil }

// deskWith is a desk with these readers.
func deskWith(s *slots, meant Selection) *Desk {
	return &Desk{
		OpenReaders: func(context.Context, pcsc.Options) (Readers, error) { s.open++; return s, nil },
		Meant:       meant, Detail: func(string, ...any) {},
		Identify: func(_ context.Context, l *Line) ([]string, error) {
			for _, r := range s.list {
				if r.name == l.Place() {
					return []string{"other", r.serial}, r.broken
				}
			}
			return nil, errors.New("no such reader")
		},
	}
}

func TestWhichCard(t *testing.T) {
	one := []slot{{name: "Alpha Reader 00", serial: "FFFE00000001"}}
	two := []slot{
		{name: "Alpha Reader 00", serial: "FFFE11110001"},
		{name: "Alpha Reader 01"},
		{name: "Beta Reader", serial: "FFFE22220001"},
	}
	busy := []slot{two[0], {name: "Gamma Reader", serial: "FFFE33330003", busy: true}}
	broken := []slot{{name: "Delta Reader", serial: "FFFE33330003", broken: errors.New("odd")}, two[2]}
	for name, test := range map[string]struct {
		readers []slot
		meant   Selection
		place   string // empty for an error
		code    problem.Code
		says    string
		next    advice.Action
	}{
		"the only card":                       {one, Selection{}, "Alpha Reader 00", "", "", advice.None},
		"no reader":                           {nil, Selection{}, "", problem.NotFound, "driver", advice.Diagnose},
		"no card":                             {[]slot{{name: "Alpha"}}, Selection{}, "", problem.NotFound, "no card in Alpha", advice.ListReaders},
		"no card in two readers":              {[]slot{{name: "Alpha"}, {name: "Beta"}}, Selection{}, "", problem.NotFound, "any of the 2 readers", advice.ListReaders},
		"several cards are listed":            {two, Selection{}, "", problem.NotFound, `"Alpha Reader 00", "Beta Reader"`, advice.ListReaders},
		"by index":                            {two, Selection{Reader: "2"}, "Beta Reader", "", "", advice.None},
		"by an index that is not there":       {two, Selection{Reader: "3"}, "", problem.NotFound, "Beta", advice.ListReaders},
		"by a negative index":                 {two, Selection{Reader: "-1"}, "", problem.NotFound, "Beta", advice.ListReaders},
		"by a part of the name":               {two, Selection{Reader: "bet"}, "Beta Reader", "", "", advice.None},
		"by the whole name":                   {[]slot{{name: "Beta Reader 2"}, two[2]}, Selection{Reader: "Beta Reader"}, "Beta Reader", "", "", advice.None},
		"by a part that several have":         {two, Selection{Reader: "alpha"}, "", problem.NotFound, `"Alpha Reader 00", "Alpha Reader 01"`, advice.ListReaders},
		"by a part that none has":             {two, Selection{Reader: "delta"}, "", problem.NotFound, "Beta Reader", advice.ListReaders},
		"a reader without a card":             {two, Selection{Reader: "1"}, "", problem.NotFound, "no card in Alpha Reader 01", advice.ListReaders},
		"by serial":                           {two, Selection{Serial: "FFFE22220001"}, "Beta Reader", "", "", advice.None},
		"by another serial of the card":       {one, Selection{Serial: "OTHER"}, "Alpha Reader 00", "", "", advice.None},
		"by the ending of a serial":           {two, Selection{Serial: "20001"}, "Beta Reader", "", "", advice.None},
		"by serial as people write it":        {two, Selection{Serial: "fffe:2222:0001"}, "Beta Reader", "", "", advice.None},
		"by an ending that several have":      {two, Selection{Serial: "0001"}, "", problem.NotFound, "FFFE22220001 in Beta Reader", advice.ListReaders},
		"by a serial that none has":           {two, Selection{Serial: "77"}, "", problem.NotFound, "FFFE11110001 in Alpha Reader 00", advice.ListReaders},
		"by serial and the wrong reader":      {two, Selection{Serial: "FFFE22220001", Reader: "0"}, "", problem.NotFound, "FFFE11110001", advice.ListReaders},
		"by a serial where no card is":        {[]slot{{name: "Alpha"}}, Selection{Serial: "77"}, "", problem.NotFound, "None of the connected cards", advice.ListReaders},
		"a busy card":                         {busy, Selection{Reader: "gamma"}, "", problem.CardBusy, "scdaemon", advice.None},
		"by serial beside a busy card":        {busy, Selection{Serial: "11110001"}, "Alpha Reader 00", "", "", advice.None},
		"by a serial that is on the busy one": {busy, Selection{Serial: "33330003"}, "", problem.CardBusy, "scdaemon", advice.None},
		"by serial beside a broken card":      {broken, Selection{Serial: "22220001"}, "Beta Reader", "", "", advice.None},
	} {
		t.Run(name, func(t *testing.T) {
			s := &slots{list: test.readers}
			l, err := deskWith(s, test.meant).Open(t.Context())
			if test.place == "" {
				var told *problem.Error
				if !errors.As(err, &told) || told.Code != test.code || !strings.Contains(told.Error(), test.says) || told.Next.Action != test.next {
					t.Errorf("got %v", err)
				}
			} else if err != nil || l.Place() != test.place {
				t.Fatalf("got %+v, %v", l, err)
			} else if err := l.Close(); err != nil {
				t.Error(err)
			}
			if s.open != 0 {
				t.Errorf("%d connections are left", s.open)
			}
		})
	}
}

func TestInterruptedWhileCardsAreLookedAt(t *testing.T) {
	s := &slots{list: []slot{{name: "Alpha", serial: "77"}, {name: "Beta", serial: "78"}}}
	ctx, cancel := context.WithCancel(t.Context())
	d := deskWith(s, Selection{Serial: "77"})
	identify := d.Identify
	d.Identify = func(ctx context.Context, l *Line) ([]string, error) {
		if l.Place() == "Beta" {
			cancel()
			return nil, ctx.Err()
		}
		return identify(ctx, l)
	}
	if _, err := d.Open(ctx); !errors.Is(err, context.Canceled) || s.open != 0 {
		t.Errorf("%v, %d connections are left", err, s.open)
	}
}

func TestPlaces(t *testing.T) {
	s := &slots{list: []slot{{name: "Alpha", serial: "FFFE00000001"}, {name: "Beta"}, {name: "Gamma", serial: "FFFE00000003"}}}
	for reader, want := range map[string][]string{"": {"0 Alpha", "1 Beta", "2 Gamma"}, "2": {"2 Gamma"}, "bet": {"1 Beta"}} {
		d := deskWith(s, Selection{Reader: reader})
		d.Simulated = &SimulatedStore{Dir: func() (string, error) { return "", errors.New("no place for any") }}
		list, unreachable, err := d.Places(t.Context(), false, nil)
		var got []string
		for _, p := range list {
			got = append(got, string(rune('0'+p.Index))+" "+p.Name)
		}
		if err != nil || unreachable != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, %v", reader, got, unreachable, err)
		}
	}
}

func TestWaitForTheCardThatIsNamed(t *testing.T) {
	s := &slots{list: []slot{{name: "Alpha"}, {name: "Beta", serial: "FFFE00000002"}}}
	for name, test := range map[string]struct {
		meant Selection
		code  problem.Code // with the error of a wait that gave up: ""
		comes bool
	}{
		"any":                       {Selection{}, "", true},
		"by reader":                 {Selection{Reader: "beta"}, "", true},
		"by serial":                 {Selection{Serial: "0002"}, "", true},
		"in a reader without one":   {Selection{Reader: "alpha"}, "", false},
		"in one of several readers": {Selection{Reader: "a"}, problem.NotFound, false},
		"another serial":            {Selection{Serial: "77"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			looked := 0
			d := deskWith(s, test.meant)
			d.Simulated = &SimulatedStore{Dir: func() (string, error) { return "", errors.New("no place for any") }}
			_, _, err := d.Places(ctx, true, func(p Place) (is, certain bool) {
				looked++
				return p.Name == "Beta" && HasSerial([]string{"FFFE00000002"}, test.meant.Serial), true
			})
			switch {
			case test.comes && err != nil:
				t.Error(err)
			case test.code != "" && !problem.Is(err, test.code):
				t.Errorf("got %v", err)
			case !test.comes && test.code == "" && !errors.Is(err, context.DeadlineExceeded):
				t.Errorf("got %v", err)
			}
			if looked > 1 {
				t.Errorf("a card that stays was looked at %d times", looked)
			}
		})
	}
}

func TestTokenThatIsMeant(t *testing.T) {
	for name, test := range map[string]struct {
		meant Selection
		uri   string
		token bool // without --app
	}{
		"nothing":                       {Selection{}, "pkcs11:", false},
		"a label":                       {Selection{Token: "desk 1"}, "pkcs11:token=desk%201", true},
		"a URI":                         {Selection{Token: "pkcs11:serial=77"}, "pkcs11:serial=77", true},
		"a label and serial":            {Selection{Token: "desk", Serial: "77"}, "pkcs11:token=desk;serial=77", true},
		"a URI with its own":            {Selection{Token: "pkcs11:serial=77", Serial: "78"}, "pkcs11:serial=77", true},
		"a module typed":                {Selection{Module: "opensc", ModuleTyped: true}, "pkcs11:", true},
		"a module and a reader typed":   {Selection{Module: "opensc", ModuleTyped: true, ReaderTyped: true}, "pkcs11:", false},
		"a module from the environment": {Selection{Module: "opensc"}, "pkcs11:", false},
	} {
		got, err := (&Desk{Meant: test.meant}).TokenURI()
		if err != nil || got.String() != test.uri {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		if test.meant.MeansToken() != test.token {
			t.Errorf("%s: means a token: %v", name, !test.token)
		}
	}
	if _, err := (&Desk{Meant: Selection{Token: "pkcs11:token=%0"}}).TokenURI(); !problem.Is(err, problem.Usage) {
		t.Errorf("no URI: %v", err)
	}
}
