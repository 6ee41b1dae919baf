// Package pkcs12 opens PKCS#12 files (RFC 7292), which hold private keys with their
// certificates, in DER or BER. How they are encrypted is left to package pbe, what keys
// and certificates are used for to packages keygen and certstore.
package pkcs12

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/pbe"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Contents is what a file has in it, in its order.
type Contents struct {
	Keys         []Key
	Certificates []*cert.Certificate
}

// Key is a private key.
type Key struct {
	// Name is the friendlyName, empty for none.
	Name string
	// PKCS8 is the key in PKCS#8 (RFC 5958, 2), which the caller wipes.
	PKCS8 []byte
}

// Wipe overwrites the keys.
func (c Contents) Wipe() {
	for _, k := range c.Keys {
		secret.Wipe(k.PKCS8)
	}
}

// Is goes by the version, 3, at the beginning of a PFX (RFC 7292, 4), in DER or BER.
func Is(data []byte) bool {
	const most = 3
	pfx, _, err := ber.Read(data)
	if err != nil || !pfx.Is(ber.Sequence) {
		return false
	}
	parts, _ := pfx.Elements(most)
	return len(parts) >= 2 && parts[0].SmallInt() == 3 && parts[1].Is(ber.Sequence)
}

// Open reads a file. Files with the empty password are common, so it is tried
// before one is asked for, of ask, unless it is nil: a file counts no tries. A password that does not
// open the file, and a file that is damaged, is a problem.Mismatch; one that is
// made in a way unknown here, or that asks for too much work, a
// problem.NotSupported.
func Open(ctx context.Context, data []byte, ask secret.Asker) (Contents, error) {
	f, err := parse(data)
	if err != nil {
		return Contents{}, explain(ctx, err)
	}
	for _, empty := range []pbe.Password{pbe.NewPassword(nil), {}} {
		contents, err := f.open(ctx, empty)
		if !errors.Is(err, pbe.ErrPassword) {
			return contents, explain(ctx, err)
		}
	}
	if ask == nil {
		return Contents{}, explain(ctx, pbe.ErrPassword)
	}
	typed, err := ask(ctx, secret.Request{Name: secret.Password, Label: "password of the PKCS#12 file"})
	if err != nil {
		return Contents{}, err
	}
	defer typed.Wipe()
	password := pbe.NewPassword(typed.Reveal())
	defer password.Wipe()
	contents, err := f.open(ctx, password)
	return contents, explain(ctx, err)
}

func explain(ctx context.Context, err error) error {
	convert := advice.Run("openssl", "pkcs12", "-in", "FILE", "-out", "all.pem")
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, pbe.ErrPassword):
		return problem.New(problem.Mismatch, "the password does not open the PKCS#12 file").
			Because("The file needs the password that it was created with, not a card PIN.").
			Advise(advice.Repeat(advice.Ask(secret.Password)))
	case errors.Is(err, pbe.ErrBounds):
		return problem.Wrap(problem.NotSupported, err, "the PKCS#12 file asks for too much work").Advise(convert)
	case errors.Is(err, pbe.ErrUnsupported):
		return problem.Wrap(problem.NotSupported, err, "this type of PKCS#12 file is not supported").Advise(convert)
	}
	return problem.Wrap(problem.Mismatch, err, "the PKCS#12 file could not be read").Advise(convert)
}
