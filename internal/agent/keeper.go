package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
)

// Options are how a keeper holds cards.
type Options struct {
	// Desk is where the cards are; Meant leaves out the others.
	Desk *desk.Desk
	// Modules are PKCS#11 modules whose tokens are held too.
	Modules []string
	// Access asks for PINs, and says what may be risked.
	Access desk.Access
	// Cache is how long an accepted PIN is kept: 0 for not at all, Removal for as long as the
	// card is there. CacheAlways has it kept for keys that want it for each use, too.
	Cache       time.Duration
	CacheAlways bool
	// Confirm asks a person before a key is used; nil asks nobody.
	Confirm func(ctx context.Context, by Client, key string) error
	// Idle is how long after the last operation a card is let go.
	Idle time.Duration
	// Log is told what goes wrong with cards; nil tells nobody.
	Log func(error)
}

// Removal is a Cache without an end.
const Removal = time.Duration(-1)

// Keeper holds the cards. It is Tokens.
type Keeper struct {
	o Options

	mu      sync.Mutex
	places  []*place
	number  uint64 // of the last token
	version uint64
	changed chan struct{} // closed when version changes
	looked  chan struct{} // closed after the first look at the readers
	scanned chan struct{} // closed after the first look at the modules

	looking sync.Mutex // for looker
	looker  *looker
	ctx     context.Context
	held    sync.WaitGroup
}

// New is a keeper that holds nothing until Run.
func New(o Options) *Keeper {
	return &Keeper{o: o, changed: make(chan struct{}), looked: make(chan struct{}), scanned: make(chan struct{}), looker: &looker{desk: o.Desk}}
}

// Run holds cards until ctx ends, and lets them go then.
func (k *Keeper) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer k.held.Wait()
	defer func() {
		k.mu.Lock() // nothing is inserted after it
		defer k.mu.Unlock()
		stop()
	}()
	k.mu.Lock()
	k.ctx = ctx
	k.mu.Unlock()
	return k.watch(ctx)
}

// Version is that of Tokens.
func (k *Keeper) Version() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.version
}

// Wait is that of Tokens.
func (k *Keeper) Wait(ctx context.Context, before uint64) error {
	for {
		k.mu.Lock()
		version, changed := k.version, k.changed
		k.mu.Unlock()
		if version != before {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// change counts a change; its caller has the lock.
func (k *Keeper) change() {
	k.version++
	close(k.changed)
	k.changed = make(chan struct{})
}

// All is that of Tokens: it looks what is there now, and reads the cards that nobody has asked
// for yet.
func (k *Keeper) All(ctx context.Context) ([]Token, error) {
	for _, first := range []chan struct{}{k.looked, k.scanned} {
		select {
		case <-first:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	all, changed := k.round(ctx)
	for again := 0; changed && again < mostReads; again++ {
		all, changed = k.round(ctx)
	}
	return all, ctx.Err()
}

// round looks and reads once. It is changed if a card was found to be another one: that one
// is seen in the next round.
func (k *Keeper) round(ctx context.Context) (all []Token, changed bool) {
	k.look(ctx)
	var reading sync.WaitGroup
	places := k.there()
	for _, p := range places {
		reading.Go(func() { p.inspect(ctx) })
	}
	reading.Wait()
	for _, p := range places {
		select {
		case <-p.over:
			k.ended(p)
			changed = true
		default:
			all = append(all, p.found()...)
		}
	}
	return all, changed
}

// there are the places with a card.
func (k *Keeper) there() []*place {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.places)
}

// next numbers a token.
func (k *Keeper) next() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.number++
	return k.number
}

// Lock forgets all PINs, and has all cards forget them.
func (k *Keeper) Lock(ctx context.Context) error {
	places := k.there()
	for _, p := range places {
		p.pins.drop()
	}
	return letGo(ctx, places)
}

// Release lets the card in a reader go, now or when what it does is done; all cards if
// none is named.
func (k *Keeper) Release(ctx context.Context, reader string) error {
	places := slices.DeleteFunc(k.there(), func(p *place) bool { return reader != "" && p.name != reader })
	err := letGo(ctx, places)
	for _, p := range places {
		p.doubt(false)
	}
	return err
}

// letGo lets cards go. None of them waits for another one.
func letGo(ctx context.Context, places []*place) error {
	failed := make([]error, len(places))
	var going sync.WaitGroup
	for i, p := range places {
		going.Go(func() { failed[i] = p.letGo(ctx) })
	}
	going.Wait()
	return errors.Join(failed...)
}

// Reread reads the card in a reader again, which a command used that has ended.
func (k *Keeper) Reread(reader string) {
	for _, p := range k.there() {
		if p.name == reader {
			p.doubt(true)
		}
	}
}

// Status is what the keeper holds.
type Status struct {
	Serial string `json:"serial"`
	Reader string `json:"reader"`
	// Held says that no other program can use the card now.
	Held bool `json:"held"`
	// APDUs is how many commands the card got, Operations how often its keys were used.
	APDUs      uint64 `json:"apdus"`
	Operations uint64 `json:"operations"`
	PINCached  bool   `json:"pinCached"`
}

// Status reads no card.
func (k *Keeper) Status() []Status {
	all := []Status{}
	for _, p := range k.there() {
		all = append(all, p.status())
	}
	return all
}

func (k *Keeper) log(err error) {
	if k.o.Log != nil && err != nil {
		k.o.Log(err)
	}
}
