package certstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// afterwards is the time there is to look at the card, and to put back what
// was on it, after a write that failed or was interrupted.
const afterwards = 4 * time.Second

// write writes and reads back.
func write(ctx context.Context, k key.Key, old, leaf []byte, chain [][]byte) error {
	cause := k.PutCertificate(ctx, leaf, chain)
	var there []byte
	if cause == nil {
		there, cause = k.ReadBackCertificate(ctx)
	}
	if cause == nil && bytes.Equal(there, leaf) {
		return nil
	}
	if cause == nil {
		cause = problem.New(problem.Failed, "the certificate on the card is not the one that was written").
			Because("%d of %d bytes came back, or others: the card may have less room than it says.", len(there), len(leaf))
	}
	if problem.Gone(cause) {
		return withState(cause, removedState(old))
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer stop()
	return withState(cause, recoverOld(ctx, k, old, leaf))
}

func removedState(old []byte) string {
	if len(old) == 0 {
		return "There was no certificate on it; whether the new one is there now, cardctl info shows."
	}
	return "Whether the new certificate or the old one is on it, cardctl info shows."
}

// recoverOld puts the old certificate back where it was lost, and says what is on
// the card.
func recoverOld(ctx context.Context, k key.Key, old, leaf []byte) string {
	const unknown = "What is on the card now could not be read."
	there, err := k.ReadBackCertificate(ctx)
	switch {
	case err != nil:
		return unknown
	case bytes.Equal(there, leaf):
		return "The new certificate is on the card."
	case bytes.Equal(there, old) && len(old) == 0:
		return "There is no certificate on the card, as before."
	case bytes.Equal(there, old):
		return "The certificate that was on the card is still there, unchanged."
	case len(old) == 0:
		return fmt.Sprintf("On the card there are now %d bytes that are not the certificate; cardctl delete-cert removes them.", len(there))
	}
	if k.PutCertificate(ctx, old, nil) == nil {
		if there, err = k.ReadBackCertificate(ctx); err == nil && bytes.Equal(there, old) {
			return "The certificate that was on the card was lost, and has been written back."
		}
	}
	return fmt.Sprintf("The certificate that was on the card (%s) is lost.", Describe(old, nil).Subject)
}

// withState adds what is on the card to a failure, and keeps its code. An
// interruption stays one for errors.Is.
func withState(cause error, state string) error {
	var known *problem.Error
	switch {
	case errors.As(cause, &known):
		p := *known
		p.Why = known.Reason()
		if p.Why != "" {
			p.Why += " "
		}
		p.Why += state
		p.Cause = cause
		return &p
	case errors.Is(cause, context.Canceled):
		p := problem.New(problem.Interrupted, "interrupted").Because("%s", state)
		p.Cause = cause
		return p
	}
	return problem.Wrap(problem.Failed, cause, "the certificate could not be written").Because("%v. %s", cause, state)
}
