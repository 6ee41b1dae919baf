package csr

import (
	"context"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// Made is a request, or a self-signed certificate, that a card has signed.
type Made struct {
	Ref        string `json:"ref"`
	Subject    string `json:"subject"`
	SelfSigned bool   `json:"selfSigned"`
	Algorithm  string `json:"algorithm"`
	// DER is the request or certificate.
	DER []byte `json:"-"`
}

// PEM is what was made, as text.
func (m *Made) PEM() []byte {
	if m.SelfSigned {
		return PEMCertificate(m.DER)
	}
	return PEMRequest(m.DER)
}

// Sign has a key of the card that is meant sign a request; with days, a
// certificate of its own that is valid so long from now on.
func Sign(ctx context.Context, d *desk.Desk, a desk.Access, reference string, r Request, days int, now time.Time) (made Made, err error) {
	made = Made{Subject: r.Subject.String(), SelfSigned: days > 0}
	if r.Challenge != nil {
		ctx = iso7816.Confidential(ctx) // some keys sign the request itself, not a digest of it
	}
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, _ family.At, k key.Key) error {
		made.Ref = k.Reference().String()
		signer, err := k.Signer(ctx)
		if err != nil {
			return err
		}
		made.Algorithm = string(key.AlgorithmOf(signer.Public()))
		if made.SelfSigned {
			made.DER, err = BuildSelfSigned(ctx, signer, r, days, now)
		} else {
			made.DER, err = Build(ctx, signer, r)
		}
		return err
	})
	return made, certifiable(err, made.Ref)
}

// certifiable adds, for a key that cannot sign, the way to a certificate without its
// signature. PKCS#10 has none (RFC 2986, 4.2).
func certifiable(err error, ref string) error {
	var told *problem.Error
	if !errors.Is(err, key.ErrCannotSign) || !errors.As(err, &told) {
		return err
	}
	told.Why = problem.Sentences(told.Why, "A CA can certify the exported public key without a request: openssl x509 -new -force_pubkey KEY -subj DN -CA CERT -CAkey CAKEY.")
	return told.Advise(advice.Do(advice.ExportKey, advice.Set(advice.Key, ref)))
}
