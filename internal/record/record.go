// Package record writes to the ledger what single commands do to cards: that a command
// begins, before it changes anything, and what became of the card. What is recorded, and
// how it is kept, is left to the ledger.
package record

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// afterwards is how long the end of a record may take, also of a command that was
// interrupted.
const afterwards = 10 * time.Second

// Recorder is the desk.Recorder of one run of a command. It opens the ledger for the
// first card.
type Recorder struct {
	// Command is what the user typed, by its name.
	Command string
	Open    func(ctx context.Context) (*ledger.Ledger, error)

	opened *ledger.Ledger
	// failed is what could not be recorded of a card that was changed.
	failed error
}

// Begin records that the command begins.
func (r *Recorder) Begin(ctx context.Context, s desk.Subject) (desk.Record, error) {
	if r.opened == nil {
		var err error
		if r.opened, err = r.Open(ctx); err != nil {
			return nil, err
		}
	}
	begin := r.opened.Begin
	if s.Serial == "" {
		begin = r.opened.Announce
	}
	entry, err := begin(ctx, r.change(s))
	if err != nil {
		return nil, err
	}
	return &begun{recorder: r, subject: s, entry: entry}, nil
}

// change is what the ledger is told of a command on a card.
func (r *Recorder) change(s desk.Subject) ledger.Change {
	return ledger.Change{Command: r.Command, Serial: s.Serial, Family: s.App, Reader: s.Place, Ref: s.Ref}
}

// Close ends the run. Its error says what was not recorded.
func (r *Recorder) Close() error {
	if r.opened == nil {
		return r.failed
	}
	return errors.Join(r.failed, r.opened.Close())
}

// begun is a command that is not at its end.
type begun struct {
	recorder *Recorder
	subject  desk.Subject
	entry    *ledger.Entry
}

// End records what became of the card, also if the command was interrupted.
func (b *begun) End(ctx context.Context, o desk.Outcome) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer stop()
	erased := slices.ContainsFunc(o.Changes, erasure)
	another := o.Serial != "" && o.Serial != b.subject.Serial
	if erased || another {
		b.anew(ctx, o, erased)
		return
	}
	b.finish(ctx, b.entry, o)
}

// erasure reports whether all of the card is gone.
func erasure(c desk.Change) bool { return c.Ref == "" && c.Gone == desk.AllGone }

// anew begins the record again of a card that is another one now: it was erased, got its
// serial, or both. Only what was done is over, so this comes afterwards.
func (b *begun) anew(ctx context.Context, o desk.Outcome, erased bool) {
	now := b.subject
	now.Serial = cmp.Or(o.Serial, b.subject.Serial)
	if now.Serial != b.subject.Serial {
		if erased && b.subject.Serial != "" {
			b.failed(b.entry.Erased(ctx))
		}
		b.failed(b.entry.Note(ctx, "serial", map[string]any{"serial": now.Serial}))
	}
	b.failed(b.entry.End(ctx, o.Failed))
	if now.Serial == "" {
		return // it has none, and nothing in the ledger but the log
	}
	change := b.recorder.change(now)
	change.Init = erased
	entry, err := b.recorder.opened.Begin(ctx, change)
	if err != nil {
		b.failed(err)
		return
	}
	b.finish(ctx, entry, o)
}

// finish writes what changed, and the end.
func (b *begun) finish(ctx context.Context, entry *ledger.Entry, o desk.Outcome) {
	for _, change := range o.Changes {
		if !erasure(change) {
			b.failed(write(ctx, entry, change))
		}
	}
	b.failed(entry.End(ctx, o.Failed))
}

func (b *begun) failed(err error) { b.recorder.failed = errors.Join(b.recorder.failed, err) }

// write is one place of a card.
func write(ctx context.Context, entry *ledger.Entry, c desk.Change) error {
	switch {
	case c.Secret != "":
		return entry.Superseded(ctx, c.Secret)
	case c.Gone != "":
		if err := entry.Gone(ctx, c.Ref, string(c.Gone)); err != nil {
			return err
		}
	}
	if c.Public != nil {
		if err := entry.Key(ctx, ledger.Key{Ref: c.Ref, SPKI: pubkey.Fingerprint(c.Public)}); err != nil {
			return err
		}
	}
	if c.Certificate != nil {
		credential := ledger.CredentialOf(c.Ref, c.Certificate)
		credential.Issuer = cmp.Or(c.Issuer, credential.Issuer)
		return entry.Certified(ctx, credential)
	}
	return nil
}
