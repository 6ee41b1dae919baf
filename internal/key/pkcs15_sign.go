package key

import (
	"context"
	"crypto"
	"crypto/rsa"
	"io"

	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func (k *pkcs15Key) Signer(ctx context.Context) (crypto.Signer, error) {
	private, err := k.needed(ctx)
	if err != nil {
		return nil, err
	}
	if !private.Usage.CanSign() {
		return nil, problem.New(problem.NotSupported, "%s: this key may not sign", k.ref).
			Because("Its usage on the card is another one.").Hint("cardctl info shows the usage of each key")
	}
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	return &pkcs15Signer{ctx, k, private, public}, nil
}

// pkcs15Signer carries the context of the command that made it, because
// crypto.Signer has no place for one.
type pkcs15Signer struct {
	ctx     context.Context
	key     *pkcs15Key
	private *pkcs15.PrivateKey
	public  crypto.PublicKey
}

func (s *pkcs15Signer) Public() crypto.PublicKey { return s.public }

// Sign makes an RSA PKCS#1 v1.5 or an ECDSA (ASN.1) signature.
func (s *pkcs15Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	if _, pss := opts.(*rsa.PSSOptions); pss {
		return nil, problem.New(problem.NotSupported, "%s: no RSA-PSS signatures with this card", s.key.ref).
			Because("OpenSC's tools make PKCS#1 v1.5 signatures with PKCS#15 cards.").Hint("leave --pss away")
	}
	sign := func(p pkcs15.PIN, pin *secret.Bytes) (err error) {
		signature, err = s.key.card.Sign(s.ctx, s.private, p, pin, digest, opts.HashFunc())
		return err
	}
	if p, verified := s.key.card.Verified(s.private); verified || !s.key.card.CanSignWith(s.private) {
		err = sign(p, nil)
	} else {
		err = s.key.withPIN(s.ctx, sign)
	}
	return signature, Explain(err, "signing with "+s.key.ref.String(), "")
}
