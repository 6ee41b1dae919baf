//go:build stack

package pkcs15

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
)

// workflow is something that is done with a card, during which it is pulled out.
type workflow struct {
	name string
	// before brings the card to where it is, and returns what is done with it.
	before func(b *bench) job
	// stride is how far it is from one pull to the next, odd, where not every
	// one is tried: each takes the PC/SC daemon its time to notice.
	stride int
	// direct says that no other program takes part, so that it works on a card
	// in process too.
	direct bool
	// erases says that the workflow is init.
	erases bool
}

type job struct {
	do func() error
	// kept is what has to be true wherever the card was pulled out.
	kept func(inventory.Info) error
	// done is what has to be true when the same was done again.
	done func() error
}

var workflows = []workflow{
	{name: "init of a blank card", before: blank, stride: 23, erases: true},
	{name: "init of a used card", before: used, stride: 55, erases: true},
	{name: "gen-key", before: genKey, stride: 27},
	{name: "gen-key beside a key with a certificate", before: genKeyBeside, stride: 63},
	{name: "import-key", before: importKey, stride: 63},
	{name: "info", before: infoOnly, stride: 19, direct: true},
	{name: "gen-csr", before: genCSR, stride: 19, direct: true},
	{name: "import-cert", before: importCert, stride: 39, direct: true},
	{name: "import-cert, replacing", before: replaceCert, stride: 39, direct: true},
	{name: "delete-cert", before: deleteCert, stride: 27, direct: true},
	{name: "delete-key", before: deleteKey, stride: 75},
	{name: "set-pin user", before: setPIN, stride: 11, direct: true},
	{name: "unblock-pin user", before: unblockPIN, stride: 11, direct: true},
}

func (b *bench) attemptKey(id string, work func(context.Context, key.Key) error) error {
	return b.key("PKCS15."+id, func(k key.Key) error { return work(b.t.Context(), k) })
}

func (b *bench) initOnce() error {
	_, err := b.init()
	return err
}

func (b *bench) generateOnce(id string) error {
	_, err := keygen.Generate(b.t.Context(), b.at(), b.access(), keygen.Wish{Key: "PKCS15." + id, Label: "vpn"})
	if problem.Is(err, problem.Refused) {
		return nil // it was complete when the card was pulled out
	}
	return err
}

func (b *bench) certificateOnce(id string, certificate *x509.Certificate) error {
	_, err := certstore.Import(b.t.Context(), b.at(), b.access(), "PKCS15."+id, certs.All(b.t, certificate), certstore.Options{Now: certificate.NotBefore})
	return err
}

// signs has a key sign a digest, which is checked.
func (b *bench) signs(id string) error {
	return b.attemptKey(id, signOnce)
}

func blank(b *bench) job { return job{do: b.initOnce} }

func used(b *bench) job {
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{})
	return job{do: b.initOnce}
}

func genKey(b *bench) job {
	b.mustInit()
	return job{
		do:   func() error { return b.generateOnce("45") },
		done: func() error { return b.signs("45") },
	}
}

func genKeyBeside(b *bench) job {
	b.mustInit()
	b.generate("PKCS15.46", key.Spec{})
	certificate := b.issue("PKCS15.46")
	if _, err := b.importCertificate("PKCS15.46", certificate); err != nil {
		b.t.Fatal(err)
	}
	return job{
		do:   func() error { return b.generateOnce("45") },
		kept: func(i inventory.Info) error { return hasCertificate(i, "PKCS15.46", certificate) },
		done: func() error { return errors.Join(b.signs("45"), b.signs("46")) },
	}
}

func importKey(b *bench) job {
	b.mustInit()
	return job{
		do: func() error {
			return b.attemptKey("45", func(ctx context.Context, k key.Key) error {
				_, err := keygen.ImportOn(ctx, k, broughtKey(), keygen.Options{})
				return err
			})
		},
		done: func() error { return b.signs("45") },
	}
}

func withKey(b *bench) {
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{Label: "vpn"})
}

func infoOnly(b *bench) job {
	withKey(b)
	if _, err := b.importCertificate("PKCS15.45", b.issue("PKCS15.45")); err != nil {
		b.t.Fatal(err)
	}
	return job{do: func() error {
		_, err := b.info()
		return err
	}}
}

func genCSR(b *bench) job {
	withKey(b)
	return job{do: func() error { return b.signs("45") }}
}

func importCert(b *bench) job {
	withKey(b)
	certificate := b.issue("PKCS15.45")
	return job{
		do:   func() error { return b.certificateOnce("45", certificate) },
		done: func() error { return b.infoHas("PKCS15.45", certificate) },
	}
}

func replaceCert(b *bench) job {
	withKey(b)
	first, second := b.issue("PKCS15.45"), b.issue("PKCS15.45")
	if _, err := b.importCertificate("PKCS15.45", first); err != nil {
		b.t.Fatal(err)
	}
	return job{
		do:   func() error { return b.certificateOnce("45", second) },
		kept: func(i inventory.Info) error { return hasCertificate(i, "PKCS15.45", first, second) },
		done: func() error { return b.infoHas("PKCS15.45", second) },
	}
}

func deleteCert(b *bench) job {
	withKey(b)
	if _, err := b.importCertificate("PKCS15.45", b.issue("PKCS15.45")); err != nil {
		b.t.Fatal(err)
	}
	return job{
		do: func() error {
			_, err := certstore.Delete(b.t.Context(), b.at(), b.access(), "PKCS15.45", certstore.RenewalOf(false, false))
			return unlessGone(err)
		},
		done: func() error { return b.signs("45") },
	}
}

func deleteKey(b *bench) job {
	withKey(b)
	return job{do: func() error {
		return b.attemptKey("45", func(ctx context.Context, k key.Key) error { return unlessGone(k.Delete(ctx)) })
	}}
}

// unlessGone is no error where what was to be removed had gone when the card was
// pulled out.
func unlessGone(err error) error {
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

func setPIN(b *bench) job {
	withKey(b)
	return job{
		do: func() error {
			b.pins[secret.PIN] = userPIN
			err := b.setPIN(pin.User)
			if problem.Is(err, problem.PINIncorrect) {
				return nil // it was the new one when the card was pulled out
			}
			return err
		},
		done: func() error {
			b.pins[secret.PIN] = newPIN
			defer func() { b.pins[secret.PIN] = userPIN }()
			return b.signs("45")
		},
	}
}

func unblockPIN(b *bench) job {
	withKey(b)
	return job{
		do: b.unblock,
		done: func() error {
			b.pins[secret.PIN] = newPIN
			defer func() { b.pins[secret.PIN] = userPIN }()
			return b.signs("45")
		},
	}
}

func (b *bench) info() (inventory.Info, error) {
	return inventory.Inspect(b.t.Context(), b.at(), b.access())
}

func (b *bench) infoHas(ref string, certificate *x509.Certificate) error {
	info, err := b.info()
	return errors.Join(err, hasCertificate(info, ref, certificate))
}

// hasCertificate wants one of these certificates to be on the card.
func hasCertificate(info inventory.Info, ref string, any ...*x509.Certificate) error {
	for _, there := range info.Certificates {
		for _, certificate := range any {
			if there.Ref == ref && bytes.Equal(there.Value, certificate.Raw) {
				return nil
			}
		}
	}
	return fmt.Errorf("the certificate of %s is lost: %d certificates are there", ref, len(info.Certificates))
}
