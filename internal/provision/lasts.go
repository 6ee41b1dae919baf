package provision

import (
	"cmp"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// How long steps may take. A card searches for the primes of an RSA key for minutes,
// OpenSC's programs create the files of a card one by one, an issuer may have a person
// decide, and a test runs other programs.
const (
	usualTime = 20 * time.Second
	initTime  = 2 * time.Minute
	issueTime = 5 * time.Minute
	proofTime = 5 * time.Minute
	rsaTime   = 15 * time.Minute
)

// generateTime is how long a key may take. Without an algorithm, it may become an RSA key.
func generateTime(algorithm string) time.Duration {
	if algorithm == "" || strings.HasPrefix(algorithm, "rsa") {
		return rsaTime
	}
	return usualTime
}

// renewTime is how long a renewal may take, which may come with a new key.
func renewTime(p *place) time.Duration {
	if p.Certificate.NewKey {
		return issueTime + generateTime(p.Algorithm)
	}
	return issueTime
}

// lasts refuses a step that could outlast the lease of the row: another station may have it
// by then.
func (w *work) lasts(s *step) error {
	if w.lease == nil || w.lease.Covers(cmp.Or(s.takes, usualTime)) {
		return nil
	}
	return problem.New(problem.Failed, "%s: this station cannot hold its row until the step ends: %s", w.name(), s.name).
		Because("The ledger was not reached for too long, and another station may have it.").Advise(advice.Repeat())
}
