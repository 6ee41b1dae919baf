package enroll

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// acmeIssuer is a server of ACME (RFC 8555) that takes the statement of a card about its
// key in place of a proof that names belong to somebody: device-attest-01
// (draft-ietf-acme-device-attest).
type acmeIssuer struct {
	address Address
	// patience is how long an order may take.
	patience time.Duration
}

const acmePatience = 3 * time.Minute

func openACME(a Address) (Issuer, error) {
	return &acmeIssuer{address: a, patience: acmePatience}, nil
}

func (i *acmeIssuer) Traits() Traits { return Traits{Away: true} }

// Prepare does nothing: what can be certified depends on the key.
func (i *acmeIssuer) Prepare(context.Context, *Order) error { return nil }

// Issue orders the certificate.
func (i *acmeIssuer) Issue(ctx context.Context, o *Order) (answer Answer, err error) {
	d, err := deviceOf(ctx, o)
	if err != nil {
		return answer, err
	}
	r, err := i.reach(o)
	if err != nil {
		return answer, err
	}
	defer r.close()
	c := &acmeClient{remote: r, until: time.Now().Add(i.patience)}
	if err := c.begin(ctx, i.address, o); err != nil {
		return answer, err
	}
	chain, err := c.certify(ctx, d, o)
	if err != nil {
		return Answer{Waiting: c.remains(ctx)}, err
	}
	if answer.Certificates, err = certstore.Parse(ctx, chain, nil); err != nil {
		return answer, problem.Wrap(problem.Mismatch, err, "the answer of "+i.address.URL.Host)
	}
	identifier, err := permanentIdentifier(d.serial)
	o.Implied = append(o.Implied, identifier)
	return answer, err
}

// reach is the server: by the CAs that were named, and the fingerprint of one.
func (i *acmeIssuer) reach(o *Order) (*remote, error) {
	r, err := newRemote(i.address.URL, o.Roots)
	if err == nil && i.address.Fingerprint != nil {
		r.pin(i.address.Fingerprint)
	}
	return r, err
}

// device is a key with what its card states of it.
type device struct {
	serial string
	// path is the statement, and the certificates above it, each in DER.
	path [][]byte
	// algorithm is that of COSE (RFC 9053, 2.1 and 2.2; RFC 8812, 2) for signatures by
	// sign.
	algorithm int
	sign      func(message string) ([]byte, error)
}

// deviceOf has the card state where its key is from. A key that servers do not take is a
// problem.NotSupported.
func deviceOf(ctx context.Context, o *Order) (d *device, err error) {
	d = &device{}
	opts, err := d.choose(o)
	if err != nil {
		return nil, err
	}
	path, err := o.Card.Attest(ctx)
	if err != nil {
		return nil, err
	}
	if d.serial = statedSerial(path[0]); d.serial == "" {
		return nil, problem.New(problem.NotSupported, "the statement of the card about %s does not name its serial", o.Ref).
			Because("Servers search it for the extension 1.3.6.1.4.1.41482.3.7.").Advise(advice.Do(advice.ShowCard))
	}
	for _, c := range path {
		d.path = append(d.path, c.Raw)
	}
	d.sign = func(message string) ([]byte, error) {
		signer, err := o.Card.Signer(ctx)
		if err != nil {
			return nil, err
		}
		input := []byte(message)
		if opts != crypto.Hash(0) {
			sum := sha256.Sum256(input)
			input = sum[:]
		}
		return signer.Sign(rand.Reader, input, opts)
	}
	return d, nil
}

// choose takes the algorithm for the key, of those that step-ca verifies (acme/challenge.go).
func (d *device) choose(o *Order) (crypto.Hash, error) {
	const es256, edDSA, rs256 = -7, -8, -257
	switch public := o.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			d.algorithm = es256
			return crypto.SHA256, nil
		}
	case *rsa.PublicKey:
		d.algorithm = rs256
		return crypto.SHA256, nil
	case ed25519.PublicKey:
		d.algorithm = edDSA
		return crypto.Hash(0), nil
	}
	return 0, problem.New(problem.NotSupported, "servers take no statement about a key like %s", o.Ref).
		Because("It is %s. P-256, RSA and Ed25519 work.", key.AlgorithmOf(o.PublicKey)).
		Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, o.Ref), advice.Set(advice.Algorithm, "p256")))
}

// statedSerial is the serial that a statement has in the extension that servers search, in
// decimal; empty for none.
func statedSerial(statement *cert.Certificate) string {
	const application, serial = 3, 7
	for _, x := range statement.Extensions {
		if arc, ok := x.Yubico(application); ok && arc == serial {
			if n, ok := x.Number(); ok {
				return strconv.FormatUint(uint64(n), 10)
			}
		}
	}
	return ""
}

// permanentIdentifier is the serial as an alternative name, RFC 4043, 2.
func permanentIdentifier(serial string) ([]byte, error) {
	type identifier struct {
		Value string `asn1:"utf8"`
	}
	kind, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3})
	if err != nil {
		return nil, err
	}
	value, err := asn1.MarshalWithParams(identifier{serial}, "explicit,tag:0")
	if err != nil {
		return nil, err
	}
	return cert.GeneralName{Kind: cert.OtherName, Value: append(kind, value...)}.DER(), nil
}

// respond is the payload of the answer to a challenge (draft-ietf-acme-device-attest, 5):
// a WebAuthn attestation object of the format step, in which the key signs the key
// authorization.
func (d *device) respond(authorization string) ([]byte, error) {
	signature, err := d.sign(authorization)
	if err != nil {
		return nil, err
	}
	encoded, err := cbor.Marshal(signature)
	if err != nil {
		return nil, err
	}
	object, err := cbor.Marshal(map[string]any{
		"fmt": "step", "attStmt": map[string]any{"alg": d.algorithm, "sig": encoded, "x5c": d.path},
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)})
}
