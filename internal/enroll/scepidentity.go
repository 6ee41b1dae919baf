package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/cms"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
)

// scepIdentity is who signs messages, and decrypts the answers.
type scepIdentity struct {
	cms.Signer

	decrypt cms.Decrypter
	// onCard says that its key is on the card, and will be there in another run.
	onCard bool
}

// throwAway is the length in bits of a key that lives as long as a run.
const throwAway = 2048

// identity is the certificate that is renewed, or one that a key signs for itself (RFC
// 8894, 2.3): that of the card if it is an RSA key that signs and decrypts, or else one of
// this run alone.
func (t *scepTransaction) identity(ctx context.Context) (id scepIdentity, err error) {
	o := t.o
	if o.Renewal {
		certificate, err := cert.ParseStored(o.Auth.Certificate)
		if err != nil {
			return id, err
		}
		able, err := decrypts(ctx, o.Auth.Card, certificate.PublicKey)
		if err == nil && !able {
			err = noSCEPRenewal(o)
		}
		if err != nil {
			return id, err
		}
		return onCardSCEP(ctx, o.Auth.Card, certificate)
	}
	if t.state.Certificate != nil {
		certificate, err := cert.Parse(t.state.Certificate)
		if err != nil {
			return id, err
		}
		return onCardSCEP(ctx, o.Card, certificate)
	}
	able := false
	if o.Waiting == nil {
		if able, err = decrypts(ctx, o.Card, o.PublicKey); err != nil {
			return id, err
		}
	}
	if !able {
		return t.throwAway(ctx)
	}
	signer, err := o.Card.Signer(ctx)
	if err != nil {
		return id, err
	}
	certificate, err := t.selfSigned(ctx, signer)
	if err != nil {
		return id, err
	}
	return onCardSCEP(ctx, o.Card, certificate)
}

// decrypts has a card decrypt something, and compares: nothing else tells what a key is
// able to.
func decrypts(ctx context.Context, card Card, public crypto.PublicKey) (bool, error) {
	key, is := public.(*rsa.PublicKey)
	if !is {
		return false, nil
	}
	const length = 16
	text := make([]byte, length)
	_, _ = rand.Read(text) // never fails
	//lint:ignore SA1019 SCEP has no other padding
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, key, text)
	if err != nil {
		return false, nil // it is too short
	}
	opened, err := card.Decrypt(ctx, sealed, nil)
	if err != nil && !problem.Is(err, problem.NotSupported) && cardFailed(ctx, err) {
		return false, err
	}
	return err == nil && bytes.Equal(opened, text), nil
}

// cardFailed reports whether a card could not do its work, whatever it was to decrypt.
func cardFailed(ctx context.Context, err error) bool {
	if ctx.Err() != nil || problem.Gone(err) {
		return true
	}
	for _, code := range []problem.Code{
		problem.PINIncorrect, problem.PINBlocked, problem.TriesUnknown, problem.CardBusy, problem.Usage, problem.Refused, problem.NotSupported,
		problem.Interrupted,
	} {
		if problem.Is(err, code) {
			return true
		}
	}
	return false
}

func onCardSCEP(ctx context.Context, card Card, certificate *cert.Certificate) (id scepIdentity, err error) {
	signer, err := card.Signer(ctx)
	if err != nil {
		return id, err
	}
	id, err = scepIdentityOf(signer, certificate)
	id.onCard = true
	id.decrypt = func(ctx context.Context, ciphertext []byte) ([]byte, error) {
		return card.Decrypt(ctx, ciphertext, nil)
	}
	return id, err
}

func scepIdentityOf(signer crypto.Signer, certificate *cert.Certificate) (id scepIdentity, err error) {
	signing, err := csr.NewSigning(signer, csr.Signature{Digest: crypto.SHA256})
	if err != nil {
		return id, err
	}
	id.Signer = cms.Signer{Certificate: certificate, Digest: crypto.SHA256, Algorithm: signing.Algorithm(), Sign: signing.Sign}
	return id, nil
}

func (t *scepTransaction) throwAway(ctx context.Context) (id scepIdentity, err error) {
	private, err := rsa.GenerateKey(rand.Reader, throwAway)
	if err != nil {
		return id, err
	}
	certificate, err := t.selfSigned(ctx, private)
	if err != nil {
		return id, err
	}
	id, err = scepIdentityOf(private, certificate)
	id.decrypt = func(_ context.Context, ciphertext []byte) ([]byte, error) {
		//lint:ignore SA1019 SCEP has no other padding
		return rsa.DecryptPKCS1v15(nil, private, ciphertext)
	}
	return id, err
}

// selfSigned has the subject of the request (RFC 8894, 2.3).
func (t *scepTransaction) selfSigned(ctx context.Context, signer crypto.Signer) (*cert.Certificate, error) {
	const days = 365
	usage := pkix.Extension{Id: cert.OIDKeyUsage, Critical: true, Value: []byte{3, 2, 5, 0xA0}} // digitalSignature, keyEncipherment
	der, err := csr.BuildSelfSigned(ctx, signer, csr.Request{
		Subject: t.o.Request.Subject, Extensions: []pkix.Extension{usage}, Digest: crypto.SHA256,
	}, days, t.o.Now().Add(-clockSkew))
	if err != nil {
		return nil, err
	}
	return cert.Parse(der)
}
