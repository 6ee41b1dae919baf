package pkcs15

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
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
	if _, isEC := curves[algorithm]; !isEC && !strings.HasPrefix(algorithm, "rsa") {
		return cannotMake(algorithm).Because("On PKCS#15 cards, OpenSC supports RSA, p256, p384 and p521.")
	}
	return c.driver.checkAlgorithm(ctx, algorithm)
}

func cannotMake(algorithm string) *problem.Error {
	return problem.New(problem.NotSupported, "this card does not support %s keys", algorithm).
		Advise(advice.Repeat().Without(advice.Algorithm))
}

// DefaultAlgorithm is that of keys for which none is named.
func (c *Card) DefaultAlgorithm() string { return c.driver.facts().algorithm }

// OnlyPKCS1 reports whether programs get no RSASSA-PSS signatures of the card's RSA keys.
func (c *Card) OnlyPKCS1() bool { return c.driver.facts().onlyPKCS1 }

// GenerateKey makes a key on the card, which has none with this ID.
func (c *Card) GenerateKey(ctx context.Context, k NewKey, pin *secret.Bytes) error {
	if err := c.takes(ctx, k); err != nil {
		return err
	}
	return c.driver.generateKey(ctx, k, pin)
}

// takes refuses what is known to leave a card half-made.
func (c *Card) takes(ctx context.Context, k NewKey) error {
	if err := c.driver.writesWith(k.PIN); err != nil {
		return err
	}
	return c.driver.usable(ctx)
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
	if err := c.takes(ctx, k); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return problem.Wrap(problem.NotSupported, err, "the private key cannot be encoded")
	}
	defer secret.Wipe(der)
	file := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer secret.Wipe(file)
	return c.driver.putKey(ctx, "storing the key", k, pin, call{
		args: append([]string{"--store-private-key", runner.FilePlace}, k.arguments()...), file: file,
	})
}

// CheckImport refuses a card that takes no key from outside, before what is in
// its place is removed for it.
func (c *Card) CheckImport(ctx context.Context, p PIN, pin *secret.Bytes) error {
	return c.driver.checkImport(ctx, p, pin)
}

// Begun reports whether the private key with this ID is what an interrupted
// GenerateKey or StoreKey left: it has neither a public key nor a certificate,
// and it was noted that it was begun.
func (c *Card) Begun(ctx context.Context, id []byte) (bool, error) { return c.driver.begun(ctx, id) }

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
// same ID.
func (c *Card) StoreCertificate(ctx context.Context, n NewCertificate, pin *secret.Bytes) error {
	return c.driver.storeCertificate(ctx, n, pin)
}

// DeleteCertificate removes a certificate from the card.
func (c *Card) DeleteCertificate(ctx context.Context, id []byte, p PIN, pin *secret.Bytes, now time.Time) error {
	return c.driver.deleteCertificate(ctx, id, p, pin, now)
}

// Kinds of objects that DeleteObjects knows.
const (
	KindKey         = "privkey,pubkey"
	KindCertificate = "cert"
)

// DeleteObjects removes the objects of a kind with an ID. It looks whether
// they are gone: pkcs15-init succeeds where it removed nothing.
func (c *Card) DeleteObjects(ctx context.Context, kind string, id []byte, p PIN, pin *secret.Bytes) error {
	if err := c.driver.writesWith(p); err != nil {
		return err
	}
	err := c.write(ctx, "deleting it from the card", p, pin, call{
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
			Because("pkcs15-init reported success but deleted nothing.")
	}
	return nil
}

// write runs pkcs15-init with the PIN of an object.
func (c *Card) write(ctx context.Context, what string, p PIN, pin *secret.Bytes, job call) error {
	job.program = "pkcs15-init"
	job.secrets = append(job.secrets, handover{"--pin", pin})
	if !c.Known() {
		job.args = append(job.args, "--verify-pin") // there are cards that want it before, such as GIDS
	}
	_, err := c.tool(ctx, job)
	c.Forget()
	return c.judge(ctx, err, p, what)
}
