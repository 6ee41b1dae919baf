// Package attest has a card make a signed statement about one of its keys, and checks
// it: the signature, the key, the card, and the chain to the CA of the card's maker. How
// a card makes its statement is left to its family.
package attest

import (
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Options are what the caller knows and decides.
type Options struct {
	// CA are certificates of the card's maker, roots and those below them in any order.
	// Without any, nothing above the card's own certificate is verified.
	CA []*cert.Certificate
	// Now is what the validity dates are compared with.
	Now time.Time

	// Confirm is asked before a certificate is lost to a card that writes its statement
	// over it, Policy for the PIN to put it back. StateDir is where it is kept meanwhile.
	Confirm  desk.Confirm
	Policy   *pin.Policy
	StateDir func() (string, error)
}

// Report is a statement that was checked.
type Report struct {
	// Reader is where the card is.
	Reader      string        `json:"reader"`
	Ref         string        `json:"ref"`
	Algorithm   key.Algorithm `json:"algorithm"`
	Fingerprint string        `json:"fingerprint"` // as info shows it, upper-case hex

	Serial      string `json:"serial,omitempty"`
	Firmware    string `json:"firmware,omitempty"`
	Origin      string `json:"origin,omitempty"`
	PINPolicy   string `json:"pinPolicy,omitempty"`
	TouchPolicy string `json:"touchPolicy,omitempty"`

	Extensions []key.Extension `json:"extensions"`

	// KeyCompared says that the card reports the key elsewhere too, and that it is the
	// one in the statement.
	KeyCompared bool `json:"keyCompared"`
	// Issuer is the certificate of the key that signed the statement. Trusted says that
	// it chains to the given CA, Root which of its certificates that is.
	Issuer  string `json:"issuer"`
	Trusted bool   `json:"trusted"`
	Root    string `json:"root,omitempty"`

	// Certificate is what became of the certificate of the key; nil on a card that stores
	// its statement nowhere.
	Certificate *Place `json:"certificate,omitempty"`

	// PEM has the statement first, then the certificates above it, without the root.
	PEM string `json:"pem"`
}

// Attest has the card that is meant make its statement about a key.
func Attest(ctx context.Context, d *desk.Desk, a desk.Access, reference string, o Options) (report Report, err error) {
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		o.Confirm, o.Policy, o.StateDir = here.Access.Confirm, here.Keys.Policy, here.Line.StateDir
		report, err = On(ctx, k, o)
		report.Reader = here.Place
		return err
	})
	return report, err
}

// On has the statement made and checks it. A statement that is not true, or not for this
// key, is a problem.Mismatch.
func On(ctx context.Context, k key.Key, o Options) (Report, error) {
	attester, can := k.(key.Attester)
	if !can {
		return Report{}, problem.New(problem.NotSupported, "%s: this card makes no statements about its keys", work(k)).
			Because("There is no command for it on such a card.").Advise(advice.Do(advice.ShowCard))
	}
	if overwriter, ok := k.(key.Overwriter); ok {
		return overwrite(ctx, k, overwriter, &o)
	}
	made, err := attester.Attest(ctx)
	if err != nil {
		return Report{}, err
	}
	return check(ctx, k, made, &o)
}

// check checks a statement.
func check(ctx context.Context, k key.Key, made *key.Attestation, o *Options) (Report, error) {
	statement, issuer, err := read(k, made)
	if err != nil {
		return Report{}, err
	}
	if err := compare(k, made, statement); err != nil {
		return Report{}, err
	}
	r := Report{
		Ref: k.Reference().String(), Algorithm: key.AlgorithmOf(statement.PublicKey),
		Fingerprint: cmp.Or(made.States.Fingerprint, made.Reports.Fingerprint, pubkey.Fingerprint(statement.PublicKey)),
		Serial:      made.States.Serial, Firmware: made.States.Firmware, Origin: made.States.Origin,
		PINPolicy: made.States.PINPolicy, TouchPolicy: made.States.TouchPolicy,
		Extensions: made.Extensions, KeyCompared: made.Public != nil, Issuer: issuer.Subject.String(),
	}
	above := []*cert.Certificate{issuer}
	if len(o.CA) > 0 {
		if above, err = trusted(ctx, k, statement, issuer, o); err != nil {
			return Report{}, err
		}
		r.Trusted, r.Root = true, above[len(above)-1].Subject.String()
	}
	for _, c := range append([]*cert.Certificate{statement}, above...) {
		if !chain.SelfSigned(c) {
			r.PEM += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
		}
	}
	return r, nil
}

// work names what is done in an error.
func work(k key.Key) string { return "attest " + k.Reference().String() }

// read reads both certificates and checks that the one signed the other.
func read(k key.Key, made *key.Attestation) (statement, issuer *cert.Certificate, err error) {
	if statement, err = cert.Parse(made.Statement); err != nil {
		return nil, nil, untrue(k, "the statement of the card cannot be read", problem.Sentence(err.Error()))
	}
	if len(made.Issuer) == 0 {
		return nil, nil, untrue(k, "the statement cannot be checked", "The card has no certificate of the key that signed it.")
	}
	if issuer, err = cert.ParseStored(made.Issuer); err != nil {
		return nil, nil, untrue(k, "the certificate of the key that signed the statement cannot be read", problem.Sentence(err.Error()))
	}
	if !issuer.Subject.Matches(statement.Issuer) {
		return nil, nil, untrue(k, "the statement was not signed by the card's own key",
			fmt.Sprintf("It names %s as its issuer. The card has the certificate of %s.", statement.Issuer, issuer.Subject))
	}
	if err := chain.CheckSignature(statement, issuer); err != nil {
		return nil, nil, untrue(k, "the signature of the statement does not verify", problem.Sentence(err.Error()))
	}
	return statement, issuer, nil
}

func untrue(k key.Key, what, why string) error {
	return problem.New(problem.Mismatch, "%s: %s", work(k), what).Because("%s", why).Advise(advice.Do(advice.ShowCard))
}

// compare compares what the statement says with what the card reports elsewhere.
func compare(k key.Key, made *key.Attestation, statement *cert.Certificate) error {
	if made.Public != nil && !pubkey.Same(made.Public, statement.PublicKey) {
		return untrue(k, "the statement is about another key",
			fmt.Sprintf("It has the key %s. The key on the card is %s.", pubkey.Fingerprint(statement.PublicKey), pubkey.Fingerprint(made.Public)))
	}
	says, reports := made.States, made.Reports
	for _, fact := range []struct{ name, stated, reported string }{
		{"place", says.Place, reports.Place},
		{"fingerprint", says.Fingerprint, reports.Fingerprint},
		{"card serial", says.Serial, reports.Serial},
		{"firmware", says.Firmware, reports.Firmware},
		{"origin", says.Origin, reports.Origin},
		{"PIN policy", says.PINPolicy, reports.PINPolicy},
		{"touch policy", says.TouchPolicy, reports.TouchPolicy},
	} {
		if fact.stated != "" && fact.reported != "" && fact.stated != fact.reported {
			return untrue(k, "the statement has another "+fact.name+" than the card",
				fmt.Sprintf("It says %s. The card reports %s.", fact.stated, fact.reported))
		}
	}
	return nil
}

// trusted verifies the statement up to a root among the given certificates, and returns
// those above it. If none of them signed itself, all of them are roots.
func trusted(ctx context.Context, k key.Key, statement, issuer *cert.Certificate, o *Options) ([]*cert.Certificate, error) {
	var roots, others []*cert.Certificate
	for _, c := range o.CA {
		if chain.SelfSigned(c) {
			roots = append(roots, c)
		} else {
			others = append(others, c)
		}
	}
	if roots == nil {
		roots = others
	}
	err := chain.Verify(ctx, statement, chain.Options{Roots: roots, Others: append([]*cert.Certificate{issuer}, others...), At: o.Now, Unmarked: issuer})
	var failure *chain.Failure
	switch {
	case errors.As(err, &failure):
		p := problem.New(problem.Mismatch, "%s: the statement does not chain to the given CA", work(k)).
			Because("%s", problem.Sentence(failure.Why)).Advise(advice.Repeat(advice.Fill(advice.CA)))
		p.Cause = err
		return nil, p
	case err != nil:
		return nil, err
	}
	const longest = 12
	above := append([]*cert.Certificate{issuer}, chain.Issuers(issuer, slices.Concat(roots, others), longest)...)
	if i := slices.IndexFunc(above, func(c *cert.Certificate) bool { return slices.ContainsFunc(roots, c.Equal) }); i >= 0 {
		above = above[:i+1]
	}
	return above, nil
}
