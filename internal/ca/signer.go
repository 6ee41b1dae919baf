package ca

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/pbe"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// sign does work with the key of the CA, which has to be that of its certificate.
func (c *CA) sign(ctx context.Context, d *desk.Desk, a desk.Access, work func(context.Context, crypto.Signer) error) error {
	checked := func(ctx context.Context, signer crypto.Signer, pause func(context.Context) error) error {
		if !pubkey.Same(signer.Public(), c.certificate.PublicKey) {
			return notItsKey()
		}
		return work(ctx, verified{signer, pause})
	}
	if c.reference == "" {
		return withFile(ctx, filepath.Join(c.dir, c.file), a.Ask, func(ctx context.Context, signer crypto.Signer) error {
			return checked(ctx, signer, nil)
		})
	}
	if c.holder != "" { // else what is on the card tells whether it is the one of the CA
		a.Expected = c.certificate.PublicKey // that with which the signature is verified
	}
	meant := *d
	if meant.Meant.Reader == "" && meant.Meant.Serial == "" {
		meant.Meant.Serial = c.holder
	}
	return withCard(ctx, &meant, a, c.reference, func(ctx context.Context, signer crypto.Signer, serial string, pause func(context.Context) error) error {
		if c.holder != "" && serial != c.holder {
			return problem.New(problem.Mismatch, "this is not the card of the CA").
				Because("Its serial is %s. The key of the CA is on the card with the serial %s.", cmp.Or(serial, "not known"), c.holder).
				Advise(advice.Do(advice.ListReaders))
		}
		return checked(ctx, signer, pause)
	})
}

func notItsKey() error {
	return problem.New(problem.Mismatch, "this is not the key of the CA").
		Because("The certificate of the CA has another public key.").Advise(advice.Do(advice.ListReaders))
}

// verified is a signer whose signatures are verified with its public key: a card was not
// asked for that.
type verified struct {
	crypto.Signer

	// pause lets the card with the key go, until the next signature; nil where there is none.
	pause func(context.Context) error
}

func (v verified) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := v.Signer.Sign(random, digest, opts)
	if err != nil {
		return nil, err
	}
	if !pubkey.Verify(v.Public(), digest, signature, opts) {
		return nil, notItsKey()
	}
	return signature, nil
}

// withCard does work with a key on a card. The serial is what the card is known by for
// good; empty for none. pause lets it go until the next signature.
func withCard(
	ctx context.Context, d *desk.Desk, a desk.Access, reference string,
	work func(ctx context.Context, signer crypto.Signer, serial string, pause func(context.Context) error) error,
) error {
	return family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		holder, err := k.Holder(ctx)
		if err != nil {
			return err
		}
		signer, err := k.Signer(ctx)
		if err != nil {
			return err
		}
		serial := holder.Serial
		if known := here.Card.Identity(); serial == "" && known.Permanent {
			serial = known.Serial
		}
		return work(ctx, signer, serial, here.Line.Pause)
	})
}

// withFile does work with the key in a file, for which the password is asked.
func withFile(ctx context.Context, path string, ask secret.Asker, work func(context.Context, crypto.Signer) error) error {
	data, err := input.File(ctx, path, keygen.MaxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.NotFound, "the file of the key is missing").
			Because("There is no file %s.", path).Advise(advice.Run("ls", filepath.Dir(path)))
	case err != nil:
		return problem.Wrap(problem.Failed, err, "cannot read "+path)
	}
	defer secret.Wipe(data)
	named := func(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
		q.Label = "password of " + path // a CA has several after a change of its key
		return ask(ctx, q)
	}
	private, _, err := keygen.ParsePrivateKey(ctx, data, "", named)
	if err != nil {
		return problem.Wrap(problem.Failed, err, path)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return key.CannotSign(path, "It is a key-agreement key.")
	}
	return work(ctx, signer)
}

// newFile makes a key, and writes it to a file that exists not yet, encrypted under a
// password that is asked for.
func newFile(ctx context.Context, path string, algorithm key.Algorithm, ask secret.Asker) (crypto.Signer, error) {
	signer, err := generate(algorithm)
	if err != nil {
		return nil, err
	}
	typed, err := ask(ctx, secret.Request{Name: secret.Password, Label: "password of the CA's key", New: true})
	if err != nil {
		return nil, err
	}
	defer typed.Wipe()
	return signer, writeKey(ctx, path, signer, typed)
}

// writeKey writes a key to a file that exists not yet, encrypted under a password.
func writeKey(ctx context.Context, path string, private crypto.PrivateKey, typed *secret.Bytes) error {
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	defer secret.Wipe(plain)
	password := pbe.NewPassword(typed.Reveal())
	defer password.Wipe()
	scheme, ciphertext, err := pbe.Seal(ctx, password, plain)
	if err != nil {
		return err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // EncryptedPrivateKeyInfo, RFC 5958, 3
		b.AddBytes(scheme)
		b.AddASN1OctetString(ciphertext)
	})
	text := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: b.BytesOrPanic()})
	if err := output.NewPrivateFile(path, text); err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	return nil
}

// generate makes a key in this program.
func generate(algorithm key.Algorithm) (crypto.Signer, error) {
	if bits, isRSA := algorithm.RSABits(); isRSA {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	switch algorithm {
	case key.P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case key.P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case key.P521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case key.Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, problem.New(problem.Usage, "a CA needs a key that signs").
		Advise(advice.Repeat(advice.Set(advice.Algorithm, string(key.P384))))
}
