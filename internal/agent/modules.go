package agent

import (
	"context"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
)

// rescanTime is how long a change of the tokens of modules can stay unseen.
const rescanTime = 700 * time.Millisecond

// scan follows the tokens of modules. A module that hangs does not keep anybody from cards.
func (k *Keeper) scan(ctx context.Context) {
	said := map[string]string{}
	k.scanOnce(ctx, said)
	close(k.scanned)
	for len(k.o.Modules) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rescanTime):
		}
		k.scanOnce(ctx, said)
	}
}

// scanOnce looks at each module; said is what was logged of each, which is not said again.
func (k *Keeper) scanOnce(ctx context.Context, said map[string]string) {
	for _, module := range k.o.Modules {
		now := ""
		if err := k.tokensOf(ctx, module); err != nil && ctx.Err() == nil {
			if now = err.Error(); now != said[module] {
				k.log(err)
			}
		}
		said[module] = now
	}
}

// tokensOf compares the tokens of a module with those that were known.
func (k *Keeper) tokensOf(ctx context.Context, module string) error {
	looking, stop := context.WithTimeout(ctx, readTime)
	defer stop()
	d := *k.o.Desk
	d.Meant = desk.Selection{Module: module, ModuleTyped: true}
	uris, err := d.Tokens(looking)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range slices.Clone(k.places) {
		if p.module == module && !slices.Contains(uris, p.name) {
			k.remove(p)
		}
	}
	for _, uri := range uris {
		if !slices.ContainsFunc(k.places, func(p *place) bool { return p.module == module && p.name == uri }) {
			p := newPlace(k, uri, 0)
			p.module = module
			k.insert(p)
		}
	}
	return nil
}
