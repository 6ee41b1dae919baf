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
func Examine(ctx context.Context, d *desk.Desk, system string, root fs.FS) Report {
	e := &reach{d}
	home, _ := os.UserHomeDir() // without one, the settings of programs are unknown
	return Run(ctx, Probe{
		OS: system, User: gnupg.User{ID: os.Getuid(), Home: home},
		Root: root, Administrator: os.Geteuid() == 0, Dial: dialUnix,
		Readers: e.readers, Holders: holders, ManagedCards: e.exposed, Modules: e.modules,
	})
}

// reach is what a desk reaches.
type reach struct{ desk *desk.Desk }

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

// exposed looks at the cards in readers, or at the simulated one that is named.
// One that a program uses is left alone: what that verified would be gone. What
// cannot be looked at has no such keys, or is what the other checks see.
func (e *reach) exposed(ctx context.Context) []ManagedCard {
	var found []ManagedCard
	look := func(reader string) {
		line, err := e.desk.OpenIn(ctx, reader)
		if err != nil {
			return
		}
		defer func() { _ = line.Close() }()
		if known, kind, err := family.KnownKeys(ctx, line); err == nil && kind != "" {
			found = append(found, ManagedCard{Reader: reader, Kind: kind, KnownKeys: known})
		}
	}
	if strings.HasPrefix(e.desk.Meant.Reader, desk.SimulatedPrefix) {
		look(e.desk.Meant.Reader)
		return found
	}
	list, _ := e.list(ctx)
	for _, r := range list {
		if r.CardPresent && !r.InUse && !r.Exclusive && !r.Mute {
			look(r.Name)
		}
	}
	return found
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
	listing, err := e.desk.Modules.ListTokens(ctx, module)
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
