package certstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// Options are what the caller of Import knows and decides.
type Options struct {
	// Now is what the validity dates are compared with.
	Now time.Time

	// AllowExpired takes a certificate outside its validity dates.
	AllowExpired bool

	// Roots are certificates of CAs: the certificate has to chain to one of
	// them. Without any, nothing is verified.
	Roots []*cert.Certificate

	// Identifier is what becomes of the identifier of a card.
	Identifier key.Renewal

	// Confirm is asked before another certificate is overwritten than Confirmed, in DER;
	// nil for none.
	Confirm   desk.Confirm
	Confirmed []byte
}

// Report is what Import did.
type Report struct {
	// Reader is where the card is.
	Reader      string      `json:"reader"`
	Ref         string      `json:"ref"`
	Certificate Certificate `json:"certificate,omitzero"`

	// Unchanged says that this very certificate was there already.
	Unchanged bool `json:"unchanged"`

	// Replaced is the certificate that was there before.
	Replaced *Certificate `json:"replaced,omitempty"`

	// ChainStored says that the issuers in the file are on the card too,
	// ChainOmitted how many of them are not, for want of a place.
	ChainStored  bool `json:"chainStored"`
	ChainOmitted int  `json:"chainOmitted"`

	// Mended tells what of names was put right, in sentences, so that programs find
	// the certificate.
	Mended []string `json:"mended,omitempty"`

	// Identifier is what became of that of the card; nil where it has none, or it was to
	// stay.
	Identifier *key.Identifier `json:"chuid,omitempty"`

	// DER is the certificate.
	DER []byte `json:"-"`

	// IssuerRemarks say what is unusual about the issuers, each with its subject.
	IssuerRemarks []string `json:"issuerRemarks,omitempty"`
}

// ImportOn writes the one of the certificates that is for the key to the card.
// Everything that can be checked is checked before, and what was written is
// read back. A failure says what is on the card after it.
func ImportOn(ctx context.Context, k key.Key, certificates []*cert.Certificate, o Options) (Report, error) {
	if err := renewable(k, o.Identifier); err != nil {
		return Report{}, err
	}
	pub, err := publicKey(ctx, k, certificates)
	if err != nil {
		return Report{}, err
	}
	leaf, issuers, err := Pick(certificates, pub)
	if err != nil {
		return Report{}, err
	}
	report := Report{Ref: k.Reference().String(), Certificate: describe(leaf, pub), DER: leaf.Raw}
	for _, issuer := range issuers {
		for _, what := range issuer.Odd {
			report.IssuerRemarks = append(report.IssuerRemarks, issuer.Subject.String()+": "+what)
		}
	}
	if err := check(ctx, k, leaf, certificates, o); err != nil {
		return report, err
	}
	stored, err := k.Certificate(ctx)
	if err != nil {
		return report, err
	}
	if k.HoldsChain() {
		report.ChainStored = len(issuers) > 0
	} else {
		report.ChainOmitted, issuers = len(issuers), nil
	}
	shelf, shelves := k.(key.Shelf)
	if bytes.Equal(stored, leaf.Raw) {
		report.Unchanged, report.ChainStored = true, false
		desk.RecordingOf(ctx).Changed(desk.Change{Ref: report.Ref, Certificate: leaf.Raw})
		adds, ok := k.(completer)
		if !ok {
			return report, nil
		}
		added, err := adds.Complete(ctx, leaf.Raw, raw(issuers))
		report.ChainStored = added > 0
		if shelves {
			report.Mended = shelf.Mended()
		}
		return report, err
	}
	if len(stored) > 0 {
		old := Describe(stored, pub)
		report.Replaced = &old
		if !bytes.Equal(stored, o.Confirmed) {
			if err := confirm(ctx, o.Confirm, questionReplace(k, report)); err != nil {
				return report, err
			}
		}
	}
	err = write(ctx, k, stored, leaf.Raw, raw(issuers))
	if shelves {
		report.Mended = shelf.Mended()
	}
	if err != nil {
		return report, err
	}
	desk.RecordingOf(ctx).Changed(desk.Change{Ref: report.Ref, Certificate: leaf.Raw})
	report.Identifier, err = renew(ctx, k, o.Identifier, "The new certificate is on the card.")
	return report, err
}

// renewable refuses a new identifier for a card without one.
func renewable(k key.Key, r key.Renewal) error {
	if _, ok := k.(key.Identified); ok || r != key.RenewAnyway {
		return nil
	}
	return problem.New(problem.NotSupported, "this card has no CHUID").Advise(advice.Repeat().Without(advice.NewCHUID))
}

// renew gives the card another identifier, after its certificates changed; state is what
// is on the card by then.
func renew(ctx context.Context, k key.Key, r key.Renewal, state string) (*key.Identifier, error) {
	identified, ok := k.(key.Identified)
	if !ok {
		return nil, nil
	}
	renewed, err := identified.RenewIdentifier(ctx, r)
	if err != nil {
		return nil, withState(err, state)
	}
	return renewed, nil
}

// completer is a place that holds issuers' certificates, and takes those that come later
// than that of its key. It returns how many it has added.
type completer interface {
	Complete(ctx context.Context, leaf []byte, chain [][]byte) (added int, err error)
}

func raw(certificates []*cert.Certificate) [][]byte {
	var list [][]byte
	for _, c := range certificates {
		list = append(list, c.Raw)
	}
	return list
}

// check is everything that can be wrong with a certificate for the right key.
func check(ctx context.Context, k key.Key, leaf *cert.Certificate, others []*cert.Certificate, o Options) error {
	if err := checkDates(leaf, o); err != nil {
		return err
	}
	limit, err := k.CertificateLimit(ctx)
	if err != nil {
		return err
	}
	if limit > 0 && len(leaf.Raw) > limit {
		return problem.New(problem.NotSupported, "the certificate is too long for the card").
			Because("The certificate has %d bytes, and the card accepts up to %d.", len(leaf.Raw), limit).
			Advise(advice.Say("Ask the CA for a shorter certificate, with fewer extensions or for an EC key."))
	}
	return checkChain(ctx, leaf, others, o)
}

func checkDates(leaf *cert.Certificate, o Options) error {
	var what string
	switch {
	case o.AllowExpired:
		return nil
	case o.Now.After(leaf.NotAfter):
		what = "the certificate expired on " + date(leaf.NotAfter)
	case o.Now.Before(leaf.NotBefore):
		what = "the certificate is not valid before " + date(leaf.NotBefore)
	default:
		return nil
	}
	return problem.New(problem.Refused, "%s", what).
		Because("The current time is %s.", date(o.Now)).
		Advise(advice.Repeat(advice.Switch(advice.Expired)))
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkChain verifies up to the roots, at a time in the leaf's validity where
// the dates do not count.
func checkChain(ctx context.Context, leaf *cert.Certificate, others []*cert.Certificate, o Options) error {
	if len(o.Roots) == 0 {
		return nil
	}
	options := chain.Options{Roots: o.Roots, Others: others, At: o.Now}
	if o.AllowExpired && o.Now.After(leaf.NotAfter) {
		options.At = leaf.NotAfter
	}
	if o.AllowExpired && o.Now.Before(leaf.NotBefore) {
		options.At = leaf.NotBefore
	}
	err := chain.Verify(ctx, leaf, options)
	var failure *chain.Failure
	if !errors.As(err, &failure) {
		return err
	}
	p := problem.New(problem.Mismatch, "the certificate does not chain to the given CA").
		Because("%s", problem.Sentence(failure.Why)).
		Advise(advice.Repeat(advice.Fill(advice.CA)))
	if failure.NoIssuer {
		p.Because("Its issuer is %s: none of the given certificates signed it. The CA file must hold that issuer and every CA above it.", leaf.Issuer)
		if !failure.Of.Equal(leaf) {
			p.Because("None of the given certificates signed %s, whose issuer is %s.", failure.Of.Subject, failure.Of.Issuer)
		}
	}
	p.Cause = err
	return p
}

func confirm(ctx context.Context, ask desk.Confirm, question advice.Question) error {
	if ask == nil {
		return problem.New(problem.Refused, "not confirmed").Because("%s", question)
	}
	return ask.Ask(ctx, question)
}

func questionReplace(k key.Key, r Report) advice.Question {
	words := fmt.Sprintf("The current one is for %s. The new one is for %s and expires on %s.",
		r.Replaced.InWords(), r.Certificate.Subject, date(r.Certificate.NotAfter))
	return advice.Question{Deed: "Replace", Subject: "the certificate of " + r.Ref, Lost: problem.Sentences(words, key.LostForGood(k))}
}
