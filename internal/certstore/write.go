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
			Because("The card returned %d bytes, not the %d that were written. It may have less memory than it reports.", len(there), len(leaf))
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
		return "The card had no certificate before. It is not known whether the new one is on it now."
	}
	return "It is not known whether the card now holds the new certificate or the previous one."
}

// recoverOld puts the old certificate back where it was lost, and says what is on
// the card.
func recoverOld(ctx context.Context, k key.Key, old, leaf []byte) string {
	const unknown = "What the card now holds could not be read."
	there, err := k.ReadBackCertificate(ctx)
	switch {
	case err != nil:
		return unknown
	case bytes.Equal(there, leaf):
		return "The new certificate is on the card."
	case bytes.Equal(there, old) && len(old) == 0:
		return "The card has no certificate, as before."
	case bytes.Equal(there, old):
		return "The previous certificate is still on the card, unchanged."
	case len(old) == 0:
		return fmt.Sprintf("The card now holds %d bytes that are not the certificate.", len(there))
	}
	if k.PutCertificate(ctx, old, nil) == nil {
		if there, err = k.ReadBackCertificate(ctx); err == nil && bytes.Equal(there, old) {
			return "The previous certificate was lost and has been written back."
		}
	}
	return fmt.Sprintf("The previous certificate (%s) is lost.", Describe(old, nil).Subject)
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
