package smoke

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/p11"
)

// bench is what the keys of one run share: the modules, and the sessions that
// are logged in.
type bench struct {
	driver  string // of OpenSC, where the keys agree on one
	open    func(ctx context.Context, name, driver string) (*p11.Module, error)
	modules []benchModule
}

type benchModule struct {
	name     string
	module   *p11.Module
	sessions []*p11.Session
}

func newBench(all []Options) *bench {
	b := &bench{driver: all[0].Holder.Driver, open: all[0].Load}
	for _, o := range all {
		if o.Holder.Driver != b.driver {
			b.driver = ""
		}
	}
	return b
}

// load loads a module, once.
func (b *bench) load(ctx context.Context, name string) (*p11.Module, error) {
	for _, known := range b.modules {
		if known.name == name {
			return known.module, nil
		}
	}
	m, err := b.open(ctx, name, b.driver)
	if err != nil {
		return nil, err
	}
	b.modules = append(b.modules, benchModule{name: name, module: m})
	return m, nil
}

// find opens a session for a key, or turns one to it that is logged in.
func (b *bench) find(ctx context.Context, m *p11.Module, w p11.Wanted) (*p11.Session, error) {
	s, err := m.Find(ctx, w)
	if err != nil {
		return nil, err
	}
	for i := range b.modules {
		known := &b.modules[i]
		if known.module != m {
			continue
		}
		for _, open := range known.sessions {
			if taken, err := open.Continue(ctx, s); taken || err != nil {
				return open, err
			}
		}
		known.sessions = append(known.sessions, s)
	}
	return s, nil
}

// close logs out everywhere.
func (b *bench) close() error {
	var errs []error
	for _, known := range b.modules {
		for _, s := range known.sessions {
			errs = append(errs, s.Close())
		}
		errs = append(errs, known.module.Close())
	}
	return errors.Join(errs...)
}
