package certstore

import (
	"crypto"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// maxChain is how many issuers Pick follows.
const maxChain = 10

// Pick finds the certificate for the public key among several, the one issued
// last where there are more, and its issuers among the others, in order: each
// has signed the one before, as far as that can be checked. None is a problem.Mismatch.
func Pick(certificates []*cert.Certificate, pub crypto.PublicKey) (leaf *cert.Certificate, issuers []*cert.Certificate, err error) {
	for _, c := range certificates {
		if pubkey.Same(c.PublicKey, pub) && (leaf == nil || c.NotBefore.After(leaf.NotBefore)) {
			leaf = c
		}
	}
	if leaf == nil {
		return nil, nil, noMatch(certificates, pub)
	}
	return leaf, chain.Issuers(leaf, certificates, maxChain), nil
}

func noMatch(certificates []*cert.Certificate, pub crypto.PublicKey) error {
	const shown = 3
	var list []string
	for i, c := range certificates {
		if i == shown {
			list = append(list, "…")
			break
		}
		list = append(list, c.Subject.String()+" ("+nameKey(c.PublicKey)+")")
	}
	what := "the certificate is not for the key on the card"
	why := "The key on the card is %s, the certificate is for %s."
	if len(certificates) != 1 {
		what = "none of the certificates is for the key on the card"
		why = "The key on the card is %s, the certificates are for %s."
	}
	return problem.New(problem.Mismatch, "%s", what).
		Because(why, nameKey(pub), strings.Join(list, ", ")).
		Advise(advice.Do(advice.ShowCard))
}
