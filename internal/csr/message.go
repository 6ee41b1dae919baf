package csr

import (
	"context"
	"crypto"
	"crypto/rand"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// Signing signs messages of a protocol with a key.
type Signing struct {
	signer crypto.Signer
	scheme scheme
}

// NewSigning chooses the algorithm. A key that cannot sign so is a problem.NotSupported.
func NewSigning(signer crypto.Signer, as Signature) (*Signing, error) {
	s, err := Request{Digest: as.Digest, PSS: as.PSS}.scheme(signer.Public())
	return &Signing{signer: signer, scheme: s}, err
}

// Algorithm is the AlgorithmIdentifier of the signatures, in DER.
func (s *Signing) Algorithm() []byte { return s.scheme.der() }

// Digest is the hash function, 0 where the message itself is signed.
func (s *Signing) Digest() crypto.Hash { return s.scheme.opts.HashFunc() }

// Sign signs a message, and verifies the signature with the public key: one that does not
// verify is a problem.Mismatch.
func (s *Signing) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	input := s.scheme.input(message)
	signature, err := s.signer.Sign(rand.Reader, input, s.scheme.opts)
	if err != nil {
		return nil, err
	}
	if !pubkey.Verify(s.signer.Public(), input, signature, s.scheme.opts) {
		return nil, unsound("its signature does not verify with the public key", nil)
	}
	return signature, nil
}
