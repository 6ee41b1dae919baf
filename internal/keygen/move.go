package keygen

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// MoveReport is where a key is now.
type MoveReport struct {
	Report
	From string `json:"from"`
	// Certificate is the subject of the certificate that moved with it.
	Certificate string `json:"certificate,omitempty"`
}

// Move moves a key on the card that is meant to another place, with its certificate. An
// empty place means one for keys that are no longer used.
func Move(ctx context.Context, d *desk.Desk, a desk.Access, reference, to string) (report MoveReport, err error) {
	var target key.Reference
	if to != "" {
		if target, _, err = family.Parse(to); err != nil {
			return report, err
		}
	}
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		report, err = MoveOn(ctx, k, target)
		report.Reader = here.Place
		return err
	})
	return report, err
}

// MoveOn moves a key. A place that is not empty is a problem.Refused.
func MoveOn(ctx context.Context, k key.Key, to key.Reference) (MoveReport, error) {
	from := k.Reference()
	mover, can := k.(key.Mover)
	switch {
	case !can:
		return MoveReport{}, problem.New(problem.NotSupported, "%s: keys of this card cannot be moved", from).
			Because("The card has no command for it.").Advise(advice.Do(advice.ShowCard))
	case to.Text != "" && to.Family != from.Family:
		return MoveReport{}, problem.New(problem.Usage, "%s is on another kind of card than %s", to, from).
			Advise(advice.Repeat(advice.Fill(advice.Target)))
	case to == from:
		return MoveReport{}, problem.New(problem.Usage, "%s is the place that the key has", to).
			Advise(advice.Repeat(advice.Fill(advice.Target)))
	}
	var err error
	if to.Text == "" {
		if to, err = mover.Free(ctx); err != nil {
			return MoveReport{}, err
		}
	}
	moved, err := mover.Move(ctx, to)
	if err != nil {
		return MoveReport{}, err
	}
	occupant, err := moved.Key.Occupant(ctx)
	if err != nil {
		return MoveReport{}, err
	}
	public, err := moved.Key.Public(ctx)
	if err != nil {
		return MoveReport{}, err
	}
	r := MoveReport{From: from.String()}
	record := desk.RecordingOf(ctx)
	record.Changed(desk.Change{Ref: r.From, Gone: desk.AllGone})
	record.Changed(desk.Change{Ref: moved.Key.Reference().String(), Public: public, Certificate: moved.Certificate})
	if moved.Certificate != nil {
		r.Certificate = subjectOf(moved.Certificate)
	}
	r.Report, err = describe(moved.Key, occupant, public)
	r.Finished = moved.Finished
	return r, err
}
