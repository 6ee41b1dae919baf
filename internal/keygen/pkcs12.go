package keygen

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// isPKCS12 goes by the version, 3, at the beginning of a PFX (RFC 7292, 4), in
// DER or in BER with open lengths.
func isPKCS12(data []byte) bool {
	if bytes.HasPrefix(data, []byte{0x30, 0x80, 0x02, 0x01, 0x03}) {
		return true
	}
	var pfx struct {
		Version  int
		AuthSafe asn1.RawValue
		MacData  asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(data, &pfx)
	return err == nil && pfx.Version == 3
}

// parsePKCS12 tries the empty password first: it is common, and a file counts
// no tries.
func parsePKCS12(ctx context.Context, data []byte, ask secret.Asker) (crypto.PrivateKey, []*x509.Certificate, error) {
	opened, err := openPKCS12(ctx, data, "")
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		password, asked := ask(ctx, passwordOf("the PKCS#12 file"))
		if asked != nil {
			return nil, nil, asked
		}
		defer password.Wipe()
		// The library wants a string, which cannot be wiped.
		opened, err = openPKCS12(ctx, data, string(password.Reveal()))
	}
	const convert = "openssl pkcs12 -in FILE -out key.pem makes an encrypted PEM file of it"
	var unknown pkcs12.NotImplementedError
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, nil, wrongPassword(err)
	case errors.As(err, &unknown):
		return nil, nil, problem.Wrap(problem.NotSupported, err, "this kind of PKCS#12 file cannot be read").Hint(convert)
	case err != nil:
		return nil, nil, problem.Wrap(problem.Mismatch, err, "the PKCS#12 file cannot be read").Hint("%s, if it is whole", convert)
	}
	return opened.private, opened.certificates, nil
}

// contents is what a PKCS#12 file has in it.
type contents struct {
	private      crypto.PrivateKey
	certificates []*x509.Certificate
	err          error
}

// openPKCS12 lets a hostile file, whose work has no end, be interrupted.
func openPKCS12(ctx context.Context, data []byte, password string) (contents, error) {
	done := make(chan contents, 1)
	go func() {
		private, leaf, issuers, err := pkcs12.DecodeChain(data, password)
		done <- contents{private, append([]*x509.Certificate{leaf}, issuers...), err}
	}()
	select {
	case c := <-done:
		return c, c.err
	case <-ctx.Done():
		return contents{}, ctx.Err()
	}
}
