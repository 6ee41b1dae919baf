package desk

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/secret"
)

// Recorder keeps what commands do to cards, outside the cards.
type Recorder interface {
	// Begin records that a card is about to be changed: it is open, and nothing on it
	// was changed yet. An error ends the command.
	Begin(ctx context.Context, s Subject) (Record, error)
}

// Record is what was begun.
type Record interface {
	// End records what became of the card. The card is as it is, so that what cannot be
	// recorded is for the Recorder to say.
	End(ctx context.Context, o Outcome)
}

// Subject is what a command works on.
type Subject struct {
	// Serial is empty where the card has none, or tells it only after the command.
	Serial string
	// App is the application, by its name in --app.
	App string
	// Place is where the card is, Ref the key; empty for the card as a whole.
	Place, Ref string
}

// Outcome is what became of a card.
type Outcome struct {
	// Serial is that of the card now.
	Serial  string
	Changes []Change
	Failed  error
}

// Change is what a place for a key has now, or that a secret has another value.
type Change struct {
	// Secret is what has another value; the other fields are empty then.
	Secret secret.Name

	// Ref is the key; empty for all of the card.
	Ref string
	// Public is its new public key, nil where that is the one it had.
	Public crypto.PublicKey
	// Certificate is its new certificate, in DER; Issuer the address that it came from,
	// empty if it came from a file.
	Certificate []byte
	Issuer      string
	// Gone is what was there and is not any more.
	Gone Gone
}

// Gone says what a place lost.
type Gone string

// What a place loses.
const (
	CertificateGone Gone = "certificate"
	KeyGone         Gone = "key"
	AllGone         Gone = "all"
)

// Recording is the record of one command on one card. One of a desk without a Recorder
// keeps nothing, and neither does nil.
type Recording struct {
	recorder Recorder
	record   Record
	app      string
	issuer   string
	serial   func() string
	changes  []Change
}

// Recording is that of a command which begins.
func (d *Desk) Recording() *Recording { return &Recording{recorder: d.Recorder} }

// Kept reports whether anything is recorded.
func (r *Recording) Kept() bool { return r != nil && r.recorder != nil }

// Opened notes the application that is worked on.
func (r *Recording) Opened(app string) {
	if r != nil {
		r.app = app
	}
}

// IssuedBy notes the address of the issuer of certificates that come next.
func (r *Recording) IssuedBy(address string) {
	if r != nil {
		r.issuer = address
	}
}

// Begin is before the first change. serial gives that of the card, which may be another
// one afterwards.
func (r *Recording) Begin(ctx context.Context, s Subject, serial func() string) error {
	if !r.Kept() || r.record != nil {
		return nil
	}
	s.Serial, s.App = serial(), r.app
	record, err := r.recorder.Begin(ctx, s)
	if err == nil {
		r.record, r.serial = record, serial
	}
	return err
}

// Changed notes what became of a place, for the end of the record.
func (r *Recording) Changed(c Change) {
	if r.Kept() {
		if c.Certificate != nil {
			c.Issuer = r.issuer
		}
		r.changes = append(r.changes, c)
	}
}

// End is after the card was let go. It returns the error that the work came to.
func (r *Recording) End(ctx context.Context, failed error) error {
	if r.Kept() && r.record != nil {
		r.record.End(ctx, Outcome{Serial: r.serial(), Changes: r.changes, Failed: failed})
	}
	return failed
}

type recordingKey struct{}

// WithRecording is a context for work whose changes are noted.
func WithRecording(ctx context.Context, r *Recording) context.Context {
	return context.WithValue(ctx, recordingKey{}, r)
}

// RecordingOf is that of the work; what is noted without one is not kept.
func RecordingOf(ctx context.Context) *Recording {
	r, _ := ctx.Value(recordingKey{}).(*Recording)
	return r
}
