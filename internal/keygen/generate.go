// Package keygen puts keys on a card: it generates them there or imports them
// from a file. It refuses to overwrite a key that was not named, and checks
// that the card has the intended key afterwards. Reading and writing files is
// left to its callers.
package keygen

import (
	"context"
	"crypto"
	"encoding/pem"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Options are what the user decides.
type Options struct {
	// Spec is what the key will be; Import takes the algorithm from the key.
	key.Spec

	// Replace is the fingerprint of the key that may be overwritten, in any
	// case and with any separators.
	Replace string

	// Confirm is asked before a key is lost that nothing brings back.
	Confirm desk.Confirm
}

// Report is what is in the slot afterwards.
type Report struct {
	// Reader is where the card is.
	Reader string `json:"reader"`
	Ref    string `json:"ref"`
	// Requested is the reference that was asked for, where the card gave another.
	Requested   string        `json:"requested,omitempty"`
	Algorithm   key.Algorithm `json:"algorithm"`
	Fingerprint string        `json:"fingerprint"` // upper-case hex
	Keygrip     string        `json:"keygrip"`     // upper-case hex
	Created     time.Time     `json:"created,omitzero"`
	PublicKey   string        `json:"publicKey"` // SubjectPublicKeyInfo in PEM

	// Finished says that an interrupted command had generated this key, which lacked
	// its fingerprint.
	Finished bool `json:"finished,omitempty"`

	// Unreported says that the card does not report the public key again.
	Unreported bool `json:"unreported,omitempty"`

	// OnlyPKCS1 says that programs get no RSASSA-PSS signatures of this RSA key.
	OnlyPKCS1 bool `json:"onlyPKCS1,omitempty"`

	// UnaskedUsage is what the card permits the key for beyond what was asked for.
	UnaskedUsage []string `json:"unaskedUsage,omitempty"`

	// Unchanged says that Import found this very key in the slot.
	Unchanged bool `json:"unchanged"`

	// Replaced is the fingerprint of the key that was overwritten.
	Replaced string `json:"replaced,omitempty"`

	// StaleCertificate is the subject of a certificate that is still on the
	// card and belongs to the key that was overwritten.
	StaleCertificate string `json:"staleCertificate,omitempty"`

	// DeletedCertificate is the subject of the certificate of the previous key, which
	// was deleted with it.
	DeletedCertificate string `json:"deletedCertificate,omitempty"`
}

// GenerateOn makes a key on the card. A slot with a key in it is a
// problem.Refused unless Options.Replace names that key. A key that an
// interrupted command left unfinished is completed by the same command.
func GenerateOn(ctx context.Context, k key.Key, o Options) (Report, error) {
	if err := checkPolicies(k, o.Spec); err != nil {
		return Report{}, err
	}
	occupant, err := k.Occupant(ctx)
	if err != nil {
		return Report{}, err
	}
	if !completes(occupant, o) {
		if err := mayWrite(ctx, k, occupant, o); err != nil {
			return Report{}, err
		}
	} else {
		occupant = nil
	}
	made, err := k.Generate(ctx, o.Spec)
	if err != nil {
		return Report{}, err
	}
	return report(ctx, k, made, occupant, o.Spec.Usage)
}

// completes says that Generate will finish the key in the slot and lose none,
// whatever key was there before it.
func completes(occupant *key.Occupant, o Options) bool {
	return occupant != nil && occupant.Unfinished && (o.Algorithm == "" || o.Algorithm == occupant.Algorithm)
}

// ImportOn puts a private key on the card, with the same rule for a slot with a
// key in it. Where it is this very key, nothing is done.
func ImportOn(ctx context.Context, k key.Key, private crypto.PrivateKey, o Options) (Report, error) {
	public, err := publicOf(private)
	if err != nil {
		return Report{}, err
	}
	if err := checkPolicies(k, o.Spec); err != nil {
		return Report{}, err
	}
	if able, ok := k.(key.Receiver); ok {
		if err := able.Receives(ctx); err != nil {
			return Report{}, err
		}
	}
	occupant, err := k.Occupant(ctx)
	if err != nil {
		return Report{}, err
	}
	if occupant != nil {
		there, err := k.Public(ctx)
		if err != nil && !problem.Is(err, problem.NotFound) {
			return Report{}, err
		}
		if err == nil && pubkey.Same(there, public) && !occupant.Certified {
			if !occupant.Unfinished {
				return unchanged(k, occupant, there)
			}
			occupant, o.Replace = nil, "" // the same key again completes it
		}
	}
	if err := mayWrite(ctx, k, occupant, o); err != nil {
		return Report{}, err
	}
	made, err := k.Import(ctx, private, o.Spec)
	if err != nil {
		return Report{}, err
	}
	if !pubkey.Same(made.Public, public) {
		return Report{}, problem.New(problem.Mismatch, "the key on the card is not the one that was sent").
			Because("The card returned a different public key. Do not use the key in this slot.")
	}
	return report(ctx, k, made, occupant, o.Spec.Usage)
}

func unchanged(k key.Key, occupant *key.Occupant, public crypto.PublicKey) (Report, error) {
	r, err := describe(k, occupant, public)
	r.Unchanged = true
	return r, err
}

// report describes what was made in the place of occupant, which may be nil, for the
// usages that were asked for, if any were.
func report(ctx context.Context, k key.Key, made *key.Generated, occupant *key.Occupant, asked []key.Usage) (Report, error) {
	r, err := describe(k, &made.Occupant, made.Public)
	noted := desk.Change{Ref: r.Ref, Public: made.Public}
	if occupant != nil && made.StaleCertificate != nil {
		noted.Gone = desk.CertificateGone
	}
	desk.RecordingOf(ctx).Changed(noted)
	for _, usage := range made.Usage {
		if len(asked) > 0 && !slices.Contains(asked, usage) {
			r.UnaskedUsage = append(r.UnaskedUsage, string(usage))
		}
	}
	r.Keygrip, r.Finished, r.Unreported = made.Keygrip, made.Finished, made.Unreported
	r.Requested, r.OnlyPKCS1 = made.Requested, made.OnlyPKCS1
	if err != nil || occupant == nil {
		return r, err
	}
	r.Replaced = occupant.Fingerprint
	if made.StaleCertificate != nil {
		r.DeletedCertificate = subjectOf(made.StaleCertificate)
		return r, nil
	}
	r.StaleCertificate = staleCertificate(ctx, k, made.Public)
	return r, nil
}

func describe(k key.Key, occupant *key.Occupant, public crypto.PublicKey) (Report, error) {
	r := Report{
		Ref: k.Reference().String(), Algorithm: occupant.Algorithm, Fingerprint: occupant.Fingerprint,
		Keygrip: key.Keygrip(public), Created: occupant.Created.UTC(),
	}
	der, err := pubkey.Marshal(public)
	if err != nil {
		return r, problem.Wrap(problem.NotSupported, err, "the key's public key cannot be encoded")
	}
	r.PublicKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return r, nil
}

// subjectOf names a certificate as it was on a card.
func subjectOf(der []byte) string {
	certificate, err := cert.Parse(der)
	if err != nil {
		return "(not readable)"
	}
	return certificate.Subject.String()
}

// staleCertificate looks for a certificate of another key. The new key is on
// the card by now, so a card that cannot tell is no failure of the command.
func staleCertificate(ctx context.Context, k key.Key, public crypto.PublicKey) string {
	der, err := k.Certificate(ctx)
	if err != nil || len(der) == 0 {
		return ""
	}
	certificate, err := cert.Parse(der)
	switch {
	case err != nil:
		return "(not readable)"
	case pubkey.Same(certificate.PublicKey, public):
		return ""
	}
	return certificate.Subject.String()
}
