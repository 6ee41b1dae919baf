package certstore

import (
	"context"
	"crypto/x509"
	"errors"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// parsePKCS12 reads the certificates of a PKCS#12 file and leaves its key
// alone. Files with the empty password are common, so it is tried first: a
// file counts no tries.
func parsePKCS12(ctx context.Context, data []byte, ask secret.Asker) ([]*x509.Certificate, error) {
	list, err := openPKCS12(ctx, data, "")
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		password, asked := ask(ctx, secret.Request{Name: secret.Password, Label: "password of the PKCS#12 file"})
		if asked != nil {
			return nil, asked
		}
		defer password.Wipe()
		// The library wants a string, which cannot be wiped.
		list, err = openPKCS12(ctx, data, string(password.Reveal()))
	}
	var unknown pkcs12.NotImplementedError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, problem.New(problem.Mismatch, "the password does not open the PKCS#12 file").
			Because("It is the password that the file was made with, not a PIN of the card.").
			Hint("--password prompt")
	case errors.As(err, &unknown):
		return nil, problem.Wrap(problem.NotSupported, err, "this kind of PKCS#12 file cannot be read").
			Hint("openssl pkcs12 -in FILE -nokeys -out certs.pem makes a PEM file of it")
	case err != nil:
		return nil, problem.Wrap(problem.Mismatch, err, "the PKCS#12 file cannot be read").
			Hint("openssl pkcs12 -in FILE -nokeys -out certs.pem makes a PEM file of it, if it is whole")
	}
	return list, nil
}

func openPKCS12(ctx context.Context, data []byte, password string) ([]*x509.Certificate, error) {
	return await(ctx, func() ([]*x509.Certificate, error) {
		_, leaf, issuers, err := pkcs12.DecodeChain(data, password)
		if err == nil {
			return append([]*x509.Certificate{leaf}, issuers...), nil
		}
		if list, trustErr := pkcs12.DecodeTrustStore(data, password); trustErr == nil && len(list) > 0 {
			return list, nil
		}
		return nil, err
	})
}
