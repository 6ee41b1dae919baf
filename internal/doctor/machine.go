package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family/javacard"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pcsc"
)

// patience is how long one PKCS#11 module, or a socket, may take to answer.
const patience = 5 * time.Second

// Machine is the machine that this process runs on, with the cards of a desk.
func Machine(d *desk.Desk) Probe {
	m := machine{d}
	return Probe{
		OS: runtime.GOOS, Root: os.DirFS("/"),
		Readers: m.readers, Dial: dial, Holders: holders, JavaCards: m.javaCards, Modules: m.modules,
	}
}

type machine struct{ desk *desk.Desk }

// list lists the readers of PC/SC.
func (m machine) list(ctx context.Context) ([]pcsc.Reader, error) {
	from, err := m.desk.OpenReaders(ctx, pcsc.Options{})
	if err != nil {
		return nil, err
	}
	list, err := from.Readers(ctx)
	return list, errors.Join(err, from.Close())
}

func (m machine) readers(ctx context.Context) ([]Reader, error) {
	list, err := m.list(ctx)
	readers := make([]Reader, len(list))
	for i, r := range list {
		readers[i] = Reader{Name: r.Name, CardPresent: r.CardPresent, Exclusive: r.Exclusive, Mute: r.Mute}
	}
	return readers, err
}

// javaCards looks at the cards in readers, or at the simulated one that is named.
// One that a program uses is left alone: what that verified would be gone. What
// cannot be looked at is no Java card, or what the other checks see.
func (m machine) javaCards(ctx context.Context) []JavaCard {
	if strings.HasPrefix(m.desk.Meant.Reader, desk.SimulatedPrefix) {
		line, err := m.desk.Open(ctx)
		if err != nil {
			return nil
		}
		return look(ctx, line)
	}
	readers, err := m.list(ctx)
	if err != nil {
		return nil
	}
	var list []JavaCard
	for _, r := range readers {
		if !r.CardPresent || r.InUse || r.Exclusive || r.Mute {
			continue
		}
		if line, err := m.desk.OpenIn(ctx, r.Name); err == nil {
			list = append(list, look(ctx, line)...)
		}
	}
	return list
}

// look looks at the card on a line, and lets it go.
func look(ctx context.Context, line *desk.Line) []JavaCard {
	keys, err := javacard.CardKeys(ctx, line)
	_ = line.Close()
	if err != nil {
		return nil
	}
	return []JavaCard{{Reader: line.Place(), KnownKeys: keys != javacard.KeysNotKnown}}
}

func dial(ctx context.Context, path string) error {
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

// modules loads every module that is found and can be loaded without harm.
func (m machine) modules(ctx context.Context) []ModuleStatus {
	var list []ModuleStatus
	for _, found := range p11.DefaultPlaces().Installed() {
		status := ModuleStatus{Name: found.Name, Path: found.Path, Tokens: -1}
		if p11.HoldsCard(found.Path) {
			status.Err = p11.Inspect(found.Path)
		} else {
			status.Tokens, status.Err = m.countTokens(ctx, found.Path)
		}
		list = append(list, status)
	}
	return list
}

func (m machine) countTokens(ctx context.Context, module string) (int, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	listing, err := m.desk.Modules.ListTokens(ctx, module)
	return len(listing.Tokens), err
}
