package doctor

import (
	"context"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/gnupg"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pcsc"
)

// patience is how long one PKCS#11 module, or a socket, may take to answer.
const patience = 5 * time.Second

// Examine looks at the machine that a desk is on: its system, its files, and what
// the desk reaches.
func Examine(ctx context.Context, d *desk.Desk, system string, root fs.FS, programs func() []Program) Report {
	e := &reach{desk: d}
	home, _ := os.UserHomeDir() // without one, the settings of programs are unknown
	return Run(ctx, Probe{
		OS: system, User: gnupg.User{ID: os.Getuid(), Home: home},
		Root: root, Administrator: os.Geteuid() == 0, Dial: dialUnix,
		Readers: e.readers, Holders: holders, ManagedCards: e.managed, ExposedCards: e.exposed, Modules: e.modules,
		Programs: programs,
	})
}

// reach is what a desk reaches.
type reach struct {
	desk *desk.Desk
	told *told // by cards that no program uses; nil until they were looked at
}

// told is what cards tell of keys and PINs that others may know.
type told struct {
	managed []ManagedCard
	exposed []ExposedCard
}

func (e *reach) list(ctx context.Context) ([]pcsc.Reader, error) {
	from, err := e.desk.OpenReaders(ctx, pcsc.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	return from.Readers(ctx)
}

func (e *reach) readers(ctx context.Context) ([]Reader, error) {
	list, err := e.list(ctx)
	if err != nil {
		return nil, err
	}
	readers := make([]Reader, len(list))
	for i, r := range list {
		readers[i] = Reader{Name: r.Name, CardPresent: r.CardPresent, Exclusive: r.Exclusive, Mute: r.Mute}
	}
	return readers, nil
}

func (e *reach) managed(ctx context.Context) []ManagedCard { return e.idle(ctx).managed }

func (e *reach) exposed(ctx context.Context) []ExposedCard { return e.idle(ctx).exposed }

// idle looks, once, at the cards in readers, or at the simulated one that is named. One
// that a program uses is left alone: what that verified would be gone. What cannot be
// looked at has no such keys, or is what the other checks see.
func (e *reach) idle(ctx context.Context) *told {
	if e.told != nil {
		return e.told
	}
	e.told = &told{}
	if strings.HasPrefix(e.desk.Meant.Reader, desk.SimulatedPrefix) {
		e.told.look(ctx, e.desk, e.desk.Meant.Reader)
		return e.told
	}
	list, _ := e.list(ctx)
	for _, r := range list {
		if r.CardPresent && !r.InUse && !r.Exclusive && !r.Mute {
			e.told.look(ctx, e.desk, r.Name)
		}
	}
	return e.told
}

func (t *told) look(ctx context.Context, d *desk.Desk, reader string) {
	line, err := d.OpenIn(ctx, reader)
	if err != nil {
		return
	}
	defer func() { _ = line.Close() }()
	if known, kind, err := family.KnownKeys(ctx, line); err == nil && kind != "" {
		t.managed = append(t.managed, ManagedCard{Reader: line.Place(), Kind: kind, KnownKeys: known})
	}
	if exposure, kind, err := family.Exposure(ctx, line); err == nil && exposure != nil {
		t.exposed = append(t.exposed, ExposedCard{Reader: line.Place(), Kind: kind, Exposure: *exposure})
	}
}

// modules loads every module that is found and can be loaded without harm.
func (e *reach) modules(ctx context.Context) []ModuleStatus {
	var list []ModuleStatus
	for _, m := range p11.DefaultPlaces().Installed() {
		status := ModuleStatus{Name: m.Name, Path: m.Path, Tokens: -1}
		if p11.HoldsCard(m.Path) {
			status.Err = p11.Inspect(m.Path)
		} else {
			status.Tokens, status.Err = e.tokens(ctx, m.Path)
		}
		list = append(list, status)
	}
	return list
}

func (e *reach) tokens(ctx context.Context, module string) (int, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	listing, err := e.desk.Modules.ListTokens(ctx, module, false)
	return len(listing.Tokens), err
}

func dialUnix(ctx context.Context, path string) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return c.Close()
}

func holders(ctx context.Context) []Process {
	var list []Process
	for _, p := range pcsc.Holders(ctx) {
		list = append(list, Process{PID: p.PID, Name: p.Name})
	}
	return list
}
