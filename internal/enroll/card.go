package enroll

import (
	"context"
	"crypto"
	"errors"
	"io"

	"github.com/cardctl/cardctl/internal/attest"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
)

// onCard is the key, whose card is let go after each use: a server may take its time, and
// other programs want to work.
type onCard struct {
	key.Key

	here family.At
	o    *Options
}

func (c *onCard) letGo(ctx context.Context) error { return c.here.Line.Pause(ctx) }

// Signer is that of the key.
func (c *onCard) Signer(ctx context.Context) (crypto.Signer, error) {
	signer, err := c.Key.Signer(ctx)
	if err != nil {
		return nil, err
	}
	return &lettingGo{Signer: signer, letGo: func() error { return c.letGo(ctx) }}, nil
}

// lettingGo lets the card go after each signature.
type lettingGo struct {
	crypto.Signer

	letGo func() error
}

// Makes is that of the signer.
func (s *lettingGo) Makes(opts crypto.SignerOpts) error { return key.Makes(s.Signer, opts) }

func (s *lettingGo) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.Signer.Sign(random, digest, opts)
	if err != nil {
		return nil, err
	}
	return signature, s.letGo()
}

// SignMessage is for tokens that hash themselves.
func (s *lettingGo) SignMessage(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := crypto.SignMessage(s.Signer, random, message, opts)
	if err != nil {
		return nil, err
	}
	return signature, s.letGo()
}

// Decrypt is that of the key.
func (c *onCard) Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	plain, err := c.Key.Decrypt(ctx, ciphertext, opts)
	return plain, errors.Join(err, c.letGo(ctx))
}

// Attest has the statement made and checked. What is above it comes after it.
func (c *onCard) Attest(ctx context.Context) ([]*cert.Certificate, error) {
	report, err := attest.On(ctx, c.Key, attest.Options{
		Now: c.o.Now, Confirm: c.here.Access.Confirm, Policy: c.here.Keys.Policy, StateDir: c.here.Line.StateDir,
	})
	if err != nil {
		return nil, err
	}
	chain, err := certstore.Parse(ctx, []byte(report.PEM), nil)
	return chain, errors.Join(err, c.letGo(ctx))
}
