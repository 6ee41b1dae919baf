// Package pkcs12 opens PKCS#12 files (RFC 7292), which hold a private key with
// its certificates. It knows the ciphers of today, PBES2 with AES, and those of
// old programs, triple DES and RC2 of 40 bits. What the key and the
// certificates are used for is left to packages keygen and certstore.
package pkcs12

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Contents is what a file has in it.
type Contents struct {
	// Private is nil in a file of certificates alone.
	Private crypto.PrivateKey
	// Certificates are that of the key, then the others.
	Certificates []*cert.Certificate
}

// Is goes by the version, 3, at the beginning of a PFX (RFC 7292, 4), in DER or
// in BER with open lengths.
func Is(data []byte) bool {
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

// Open reads a file. Files with the empty password are common, so it is tried
// before one is asked for: a file counts no tries. A password that does not
// open the file, and a file that is damaged or has several keys, is a
// problem.Mismatch; one that is made in a way unknown here a
// problem.NotSupported.
func Open(ctx context.Context, data []byte, ask secret.Asker) (Contents, error) {
	contents, err := open(ctx, data, "")
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		password, asked := ask(ctx, secret.Request{Name: secret.Password, Label: "password of the PKCS#12 file"})
		if asked != nil {
			return Contents{}, asked
		}
		defer password.Wipe()
		// The library wants a string, which cannot be wiped.
		contents, err = open(ctx, data, string(password.Reveal()))
	}
	return contents, explain(ctx, err)
}

// What the library says, for which it has no error of its own.
const (
	severalKeys = "pkcs12: expected exactly one key bag"
	noKey       = "pkcs12: private key missing"
	unsupported = " is not supported"
)

func explain(ctx context.Context, err error) error {
	convert := advice.Run("openssl", "pkcs12", "-in", "FILE", "-out", "all.pem")
	var unknown pkcs12.NotImplementedError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return problem.New(problem.Mismatch, "the password does not open the PKCS#12 file").
			Because("The file needs the password that it was created with, not a card PIN.").
			Advise(advice.Repeat(advice.Ask(secret.Password)))
	case err.Error() == severalKeys:
		return problem.New(problem.Mismatch, "the PKCS#12 file has several private keys").
			Because("An import needs a file with exactly one key. openssl converts this one to PEM, from which the key can be copied to a file of its own.").
			Advise(convert)
	case err.Error() == noKey:
		return problem.New(problem.Mismatch, "the PKCS#12 file has no private key").
			Because("Without a key, cardctl cannot read the certificates in it. openssl converts them to PEM.").
			Advise(advice.Run("openssl", "pkcs12", "-in", "FILE", "-nokeys", "-out", "certs.pem"))
	case errors.As(err, &unknown), strings.HasSuffix(err.Error(), unsupported):
		return problem.Wrap(problem.NotSupported, err, "this type of PKCS#12 file is not supported").Advise(convert)
	}
	return problem.Wrap(problem.Mismatch, err, "the PKCS#12 file could not be read").Advise(convert)
}

// open lets a hostile file, whose work has no end, be interrupted.
func open(ctx context.Context, data []byte, password string) (Contents, error) {
	type opened struct {
		Contents
		err error
	}
	done := make(chan opened, 1)
	go func() {
		private, leaf, issuers, err := pkcs12.DecodeChain(data, password)
		if err == nil {
			certificates, err := read(append([]*x509.Certificate{leaf}, issuers...))
			done <- opened{Contents{private, certificates}, err}
			return
		}
		if list, trustErr := pkcs12.DecodeTrustStore(data, password); trustErr == nil && len(list) > 0 {
			certificates, err := read(list)
			done <- opened{Contents{Certificates: certificates}, err}
			return
		}
		done <- opened{err: err}
	}()
	select {
	case o := <-done:
		return o.Contents, o.err
	case <-ctx.Done():
		return Contents{}, ctx.Err()
	}
}

func read(standard []*x509.Certificate) ([]*cert.Certificate, error) {
	var list []*cert.Certificate
	for _, c := range standard {
		certificate, err := cert.Of(c)
		if err != nil {
			return nil, err
		}
		list = append(list, certificate)
	}
	return list, nil
}
