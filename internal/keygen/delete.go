package keygen

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// DeleteOn removes the key that the fingerprint names, once confirm agrees, and
// tells what it was. Another key in the slot is a problem.Refused.
func DeleteOn(ctx context.Context, k key.Key, fingerprint string, confirm desk.Confirm) (Report, error) {
	if able, ok := k.(key.Deleter); ok {
		if err := able.Deletable(ctx); err != nil {
			return Report{}, err
		}
	}
	occupant, err := k.Occupant(ctx)
	switch {
	case err != nil:
		return Report{}, err
	case occupant == nil:
		return Report{}, problem.New(problem.NotFound, "there is no key to delete").Advise(advice.Do(advice.ShowCard))
	case plain(fingerprint) != plain(occupant.Fingerprint):
		return Report{}, problem.New(problem.Refused, "the given fingerprint is not the one of the key in this slot").
			Because("%s was given, but the slot holds %s.", other(plain(fingerprint), occupant), inWords(occupant)).
			Advise(advice.Do(advice.ShowCard))
	}
	public, err := k.Public(ctx)
	if err != nil {
		return Report{}, err
	}
	r, err := describe(k, occupant, public)
	if err != nil {
		return Report{}, err
	}
	if err := confirm.Ask(ctx, advice.Question{Deed: "Delete", Subject: inWords(occupant), Lost: problem.Sentences("The key cannot be restored.", key.LostForGood(k))}); err != nil {
		return Report{}, err
	}
	if err := k.Delete(ctx); err != nil {
		return r, err
	}
	desk.RecordingOf(ctx).Changed(desk.Change{Ref: r.Ref, Gone: desk.KeyGone})
	r.StaleCertificate = leftCertificate(ctx, k)
	return r, nil
}

// leftCertificate names the certificate that is still at the place of a key that was
// deleted. The key is gone by now, so a card that cannot tell is no failure.
func leftCertificate(ctx context.Context, k key.Key) string {
	der, err := k.Certificate(ctx)
	if err != nil || len(der) == 0 {
		return ""
	}
	return subjectOf(der)
}
