package pkcs15

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strconv"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// NewKey is what a key on the card shall be.
type NewKey struct {
	ID    []byte
	Label string
	// Algorithm is rsa2048, p256 and so on.
	Algorithm string
	// Usage is what the key is for: sign, decrypt, derive; at least one.
	Usage []string
	PIN   PIN // that will protect it
}

// curves are OpenSC's names of the curves.
var curves = map[string]string{"p256": "prime256v1", "p384": "secp384r1", "p521": "secp521r1"}

// CheckAlgorithm refuses what is known not to work on the card: pkcs15-init is
// known to crash on it.
func (c *Card) CheckAlgorithm(ctx context.Context, algorithm string) error {
	_, isEC := curves[algorithm]
	refused := problem.New(problem.NotSupported, "this card cannot make %s keys", algorithm)
	switch {
	case !isEC && !strings.HasPrefix(algorithm, "rsa"):
		return refused.Because("OpenSC puts RSA keys and p256, p384 and p521 on PKCS#15 cards.")
	case c.myEID != nil:
		return c.checkLength(ctx, algorithm, isEC, refused)
	case c.applet == nil:
		return nil
	case algorithm == "p521", isEC && !c.applet.ecc, !isEC && algorithm != "rsa2048":
		can := "rsa2048"
		if c.applet.ecc {
			can += ", p256 and p384"
		}
		return refused.Because("An IsoApplet of version %d.%d makes %s.", c.applet.major, c.applet.minor, can)
	}
	return nil
}

// checkLength compares the length of a key with what a MyEID card makes.
func (c *Card) checkLength(ctx context.Context, algorithm string, isEC bool, refused *problem.Error) error {
	if err := c.direct(ctx, func() error { return c.myEID.capabilities(ctx) }); err != nil {
		return c.explain(err, "asking the card what it can do")
	}
	most := c.myEID.rsaBits
	if isEC {
		most = c.myEID.ecBits
	}
	if bits, err := strconv.Atoi(strings.TrimLeft(algorithm, "rsap")); err != nil || bits > most {
		return refused.Because("It makes RSA keys of up to %d bits, and EC keys of up to %d.", c.myEID.rsaBits, c.myEID.ecBits)
	}
	return nil
}

// DefaultAlgorithm is that of keys for which none is named. An IsoApplet hashes
// with SHA-1 where the key is an EC key, which is of no use; of cards that are
// reached through OpenSC alone little is known.
func (c *Card) DefaultAlgorithm() string {
	if c.myEID != nil {
		return "p256"
	}
	return "rsa2048"
}

// GenerateKey makes a key on the card, which has none with this ID.
func (c *Card) GenerateKey(ctx context.Context, k NewKey, pin *secret.Bytes) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	if c.myEID != nil {
		d, err := c.read(ctx, partKeys|partPublicKeys)
		if err != nil {
			return err
		}
		if c.myEID.generates(d, k) {
			err := c.change(ctx, k.PIN, pin, func() error { return c.myEID.generate(ctx, d, k) })
			return c.explain(err, "making the key")
		}
	}
	spec := "rsa:" + strings.TrimPrefix(k.Algorithm, "rsa")
	if curve, ok := curves[k.Algorithm]; ok {
		spec = "ec:" + curve
	}
	return c.put(ctx, "making the key", k, pin, call{args: append([]string{"--generate-key", spec}, k.arguments()...)})
}

// put has pkcs15-init put a key on the card. An applet is told, for the case that
// it is pulled out between the private key and the public one.
func (c *Card) put(ctx context.Context, what string, k NewKey, pin *secret.Bytes, job call) error {
	if err := c.begin(ctx, k.ID); err != nil {
		return c.explain(err, what)
	}
	if err := c.write(ctx, what, k.PIN, pin, job); err != nil {
		return err
	}
	c.finish(ctx)
	return nil
}

// usable refuses a card that OpenSC is known to leave half-made.
func (c *Card) usable(ctx context.Context) error {
	if c.applet == nil || c.applet.major == 0 {
		return nil
	}
	v, err := c.openSC(ctx)
	if err != nil {
		return err
	}
	return c.applet.usable(v)
}

func (k NewKey) arguments() []string {
	names := map[string]string{"sign": "sign", "decrypt": "decrypt", "derive": "keyAgreement"}
	var usage []string
	for _, u := range k.Usage {
		usage = append(usage, names[u])
	}
	args := []string{"--id", hex.EncodeToString(k.ID), "--auth-id", k.PIN.ID, "--key-usage", strings.Join(usage, ",")}
	if k.Label != "" {
		args = append(args, "--label", k.Label)
	}
	return args
}

// StoreKey puts a private key on the card, which has none with this ID. It
// goes to pkcs15-init through a pipe.
func (c *Card) StoreKey(ctx context.Context, k NewKey, private crypto.PrivateKey, pin *secret.Bytes) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return problem.Wrap(problem.NotSupported, err, "the private key cannot be encoded")
	}
	defer secret.Wipe(der)
	file := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer secret.Wipe(file)
	return c.put(ctx, "storing the key", k, pin, call{
		args: append([]string{"--store-private-key", filePlace}, k.arguments()...), file: file,
	})
}

// CheckImport refuses a card that takes no key from outside, before what is in
// its place is removed for it.
func (c *Card) CheckImport(ctx context.Context, p PIN, pin *secret.Bytes) error {
	if c.applet == nil {
		return nil
	}
	err := c.change(ctx, p, pin, func() error { return c.applet.importable(ctx) })
	return c.explain(err, "looking whether the card takes keys")
}

// NewCertificate is a certificate to be stored.
type NewCertificate struct {
	ID        []byte
	Label     string
	DER       []byte
	Authority bool // of a CA
	Replace   bool // there is one with this ID
	PIN       PIN
	Now       time.Time
}

// StoreCertificate puts a certificate on the card, in the place of one with the
// same ID. A native card gets it directly. By pkcs15-init, one that is replaced
// has to be removed first: --update-certificate is known to fail where the length
// is another one.
func (c *Card) StoreCertificate(ctx context.Context, n NewCertificate, pin *secret.Bytes) error {
	if c.native != nil {
		d, err := c.read(ctx, partCertificates)
		if err != nil {
			return err
		}
		if c.native.writes(d, n.ID) {
			return c.storeDirectly(ctx, d, n, pin)
		}
	}
	if n.Replace {
		if err := c.DeleteObjects(ctx, KindCertificate, n.ID, n.PIN, pin); err != nil {
			return err
		}
	}
	args := []string{"--store-certificate", filePlace, "--id", hex.EncodeToString(n.ID), "--auth-id", n.PIN.ID}
	if n.Label != "" {
		args = append(args, "--label", n.Label)
	}
	if n.Authority {
		args = append(args, "--authority")
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.DER})
	return c.write(ctx, "writing the certificate", n.PIN, pin, call{args: args, file: file})
}

// storeDirectly puts a certificate on a native card.
func (c *Card) storeDirectly(ctx context.Context, d *Directory, n NewCertificate, pin *secret.Bytes) error {
	return c.explain(c.change(ctx, n.PIN, pin, func() error { return c.native.putCertificate(ctx, d, n) }), "writing the certificate")
}

// DeleteCertificate removes a certificate from the card: the entry goes before
// what it names, which pkcs15-init does the other way round.
func (c *Card) DeleteCertificate(ctx context.Context, id []byte, p PIN, pin *secret.Bytes, now time.Time) error {
	if c.native != nil {
		d, err := c.read(ctx, partCertificates)
		if err != nil {
			return err
		}
		if d.Certificate(id) != nil && c.native.writes(d, id) {
			err := c.change(ctx, p, pin, func() error { return c.native.removeCertificate(ctx, d, id, now) })
			return c.explain(err, "removing the certificate")
		}
	}
	return c.DeleteObjects(ctx, KindCertificate, id, p, pin)
}

// change changes something on a native card that wants the PIN for it.
func (c *Card) change(ctx context.Context, p PIN, pin *secret.Bytes, do func() error) error {
	defer c.Forget()
	err := c.direct(ctx, func() error {
		if err := c.native.ready(ctx); err != nil {
			return err
		}
		if !c.verified {
			if err := c.sendPIN(ctx, p, pin); err != nil {
				return err
			}
		}
		return do()
	})
	if err != nil {
		c.verified = false
	}
	return err
}

// Kinds of objects that DeleteObjects knows.
const (
	KindKey         = "privkey,pubkey"
	KindCertificate = "cert"
)

// DeleteObjects removes the objects of a kind with an ID. It looks whether
// they are gone: pkcs15-init succeeds where it removed nothing.
func (c *Card) DeleteObjects(ctx context.Context, kind string, id []byte, p PIN, pin *secret.Bytes) error {
	err := c.write(ctx, "removing it from the card", p, pin, call{
		args: []string{"--delete-objects", kind, "--id", hex.EncodeToString(id), "--auth-id", p.ID},
	})
	if err != nil {
		return err
	}
	d, err := c.Directory(ctx)
	if err != nil {
		return err
	}
	if kind == KindKey && d.Key(id) != nil || kind == KindCertificate && d.Certificate(id) != nil {
		return problem.New(problem.Failed, "it is still on the card").
			Because("pkcs15-init said that it was removed, and it was not.")
	}
	return nil
}

// write runs pkcs15-init with the PIN of an object.
func (c *Card) write(ctx context.Context, what string, p PIN, pin *secret.Bytes, job call) error {
	job.program = "pkcs15-init"
	job.secrets = append(job.secrets, handover{"--pin", pin})
	_, err := c.tool(ctx, job)
	c.Forget()
	return c.judge(ctx, err, p, what)
}
