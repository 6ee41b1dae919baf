// Package key is the bridge from a key reference that a user types to the card
// application that holds the key. It knows the grammar of references and, for
// each application, how to do with it what every workflow needs. What is
// allowed to be overwritten, and what is compared before, is the workflows'
// business.
package key

import (
	"context"
	"crypto"
	"time"

	"github.com/cardctl/cardctl/internal/secret"
)

// Key is one key slot of a card or token. Its methods verify the PIN they
// need, once, when they need it; every fact is read from the card once.
type Key interface {
	Reference() Reference

	// Occupant tells what is in the slot, nil where it is empty.
	Occupant(ctx context.Context) (*Occupant, error)

	// Public is the public key as the card tells it; a problem.NotFound
	// where the slot is empty.
	Public(ctx context.Context) (crypto.PublicKey, error)

	// Signer signs with the key on the card. The PIN is asked for and
	// verified at the first signature.
	Signer(ctx context.Context) (crypto.Signer, error)

	// Generate makes a key on the card, over whatever is in the slot.
	Generate(ctx context.Context, spec Spec) (*Generated, error)

	// Import puts a private key on the card, over whatever is in the slot:
	// *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or
	// *ecdh.PrivateKey.
	Import(ctx context.Context, private crypto.PrivateKey, spec Spec) (*Generated, error)

	// Delete removes the key; a problem.NotSupported where keys can only be
	// replaced.
	Delete(ctx context.Context) error

	// Certificate is the certificate stored for the key, in DER as it is on
	// the card; nil where there is none.
	Certificate(ctx context.Context) ([]byte, error)

	// CertificateLimit is the greatest length in bytes the card announces
	// for Certificate, 0 where it announces none.
	CertificateLimit(ctx context.Context) (int, error)

	// HoldsChain reports whether issuers' certificates have a place beside
	// the key's own.
	HoldsChain() bool

	// PutCertificate writes the certificate, in DER, over what is there; the
	// chain is nil unless HoldsChain. It does not read back.
	PutCertificate(ctx context.Context, leaf []byte, chain [][]byte) error

	// ReadBackCertificate reads the certificate from the card again.
	ReadBackCertificate(ctx context.Context) ([]byte, error)

	// DeleteCertificate removes the certificate.
	DeleteCertificate(ctx context.Context) error
}

// Occupant is the key that is in a slot.
type Occupant struct {
	// Fingerprint is what --replace has to name: upper-case hex. For OpenPGP
	// the 20 bytes of RFC 4880, 12.2.
	Fingerprint string
	Algorithm   Algorithm
	// Created is the generation time on the card, zero where it is unknown.
	Created time.Time
	// Unfinished is a key that was put on the card and whose fingerprint was
	// not, because the card was pulled out between the two. Generate with the
	// same algorithm, and Import of the same key, complete it.
	Unfinished bool
}

// Generated is what was put on the card by Generate or Import, as read back.
type Generated struct {
	Occupant
	Public  crypto.PublicKey
	Keygrip string // upper-case hex, 20 bytes, as libgcrypt computes it
}

// Access is what a key needs from its caller to do its work.
type Access struct {
	Ask secret.Asker
	// AllowLastTry permits a PIN to be sent when one try is left.
	AllowLastTry bool
	Now          func() time.Time
	// Notify tells the user that the card waits: for a touch, for a key
	// generation.
	Notify func(message string)
}
