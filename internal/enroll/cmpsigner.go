package enroll

import (
	"context"
	"encoding/asn1"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/cmp"
)

// mostOthers bounds the certificates that are kept for later messages.
const mostOthers = 32

// verifySignature verifies that a CA that was named signed the answer, or somebody whom it
// has certified for that.
func (t *cmpTransaction) verifySignature(ctx context.Context, m *cmp.Message) error {
	if !t.address.pins(t.o) {
		return needsPin("The answer is signed, and nothing tells who may sign it. The request may have been granted.")
	}
	known := slices.Concat(m.Extra, t.others)
	roots := t.address.pinned(t.o, known)
	var reason error = cmp.ErrWrong
	for _, c := range slices.Concat(roots, known) {
		if m.VerifySignature(c) != nil {
			continue
		}
		if reason = t.mayAnswer(ctx, c, roots, known); reason != nil {
			continue
		}
		if len(t.others) == 0 {
			t.others = known[:min(len(known), mostOthers)]
			t.state.Others = encoded(t.others)
		}
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return t.damaged(reason)
}

// mayAnswer reports why a certificate may not sign answers of the CA: everybody whom the
// CA has certified chains to it.
func (t *cmpTransaction) mayAnswer(ctx context.Context, c *cert.Certificate, roots, known []*cert.Certificate) error {
	err := chainsTo(ctx, c, roots, known, t.o.Now())
	switch {
	case err != nil:
		return err
	case slices.ContainsFunc(roots, c.Equal):
		return nil
	case !c.IsCA && !slices.ContainsFunc(c.ExtKeyUsage, isForCMP):
		return errors.New("who signed it is not the CA, and not certified to answer for it")
	}
	return nil
}

// isForCMP is an extended key usage of a server (RFC 9810, 4.5).
func isForCMP(oid asn1.ObjectIdentifier) bool {
	return slices.Contains([]string{"1.3.6.1.5.5.7.3.27", "1.3.6.1.5.5.7.3.28"}, oid.String()) // cmcCA, cmcRA
}
