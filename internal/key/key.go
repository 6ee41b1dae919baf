// Package key is what every key of every card and token can do and reports
// about itself, and the words for it: references, algorithms, usages. How a key
// is used on its card is left to its family; what may be overwritten, and what
// is compared before, to the workflows.
package key

import (
	"context"
	"crypto"
	"time"

	"github.com/cardctl/cardctl/internal/pin"
)

// Key is one place for a key on a card or token; it may be empty. Its methods
// send the PIN they need, once, when they need it, by the Policy of Access;
// every fact is read from the card once.
type Key interface {
	Reference() Reference

	// Occupant tells what is in the place, nil where it is empty. A key that
	// is there and cannot be read is an Occupant with what is known.
	Occupant(ctx context.Context) (*Occupant, error)

	// Public is the public key as the card tells it; a problem.NotFound
	// where the place is empty.
	Public(ctx context.Context) (crypto.PublicKey, error)

	// Algorithms are those that the place can have, as far as card or token
	// tell without a PIN.
	Algorithms(ctx context.Context) ([]Algorithm, error)

	// PIN is the one that opens the key for a purpose, of several the right
	// one.
	PIN(ctx context.Context, p Purpose) (pin.PIN, error)

	// Holder is what programs know card and key by.
	Holder(ctx context.Context) (Holder, error)

	// Signer signs with the key on the card. The PIN is asked for and
	// verified at the first signature.
	Signer(ctx context.Context) (crypto.Signer, error)

	// Decrypt decrypts an RSA ciphertext: PKCS#1 v1.5, or RSAES-OAEP with
	// *rsa.OAEPOptions where the card can.
	Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error)

	// Derive agrees on a secret with a peer's public key of the same curve
	// (ECDH): the x-coordinate, or the 32 bytes of X25519.
	Derive(ctx context.Context, peer crypto.PublicKey) ([]byte, error)

	// Generate makes a key on the card, over whatever is in the place.
	Generate(ctx context.Context, spec Spec) (*Generated, error)

	// Import puts a private key on the card, over whatever is in the place:
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

// Purpose is what a PIN opens a key for.
type Purpose int

// The purposes.
const (
	ToUse   Purpose = iota // sign, decrypt, derive
	ToMake                 // generate, import, delete
	ToStore                // write and remove its certificate
)

// Holder is what programs know a card and its key by.
type Holder struct {
	// Card is what a person calls it: "OpenPGP card 000F12345678".
	Card string
	// Place is what the place of the key is for, where it is for one thing:
	// "signature".
	Place string
	// Serial is the serial number, as info shows it.
	Serial string
	// Driver is OpenSC's name for the driver of the card; empty where it is not
	// known.
	Driver string
	// Token is the label of the token that OpenSC's module makes of the PIN of the
	// key; empty where it is not known.
	Token string
	// CertificateID is the ID of the certificate on that token; nil where it is not
	// known.
	CertificateID []byte
	// URI names the token or key where it is reached through a module.
	URI string
	// ShownInstead is the key whose certificate some versions of OpenSC show
	// where they do not show that of this one; empty for none.
	ShownInstead string
	// SeveralPINs says that the card has other user PINs than that of the key, and
	// that a module may make a token of each.
	SeveralPINs bool
	// WholeDigests says that an elliptic curve key does not sign a digest shorter than
	// its curve.
	WholeDigests bool
	// SharedPIN says that all tokens that a module makes of the card have this
	// one PIN.
	SharedPIN bool
}

// Occupant is the key that is in a place.
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
	// Unknown says that the card does not report whether there is a key.
	Unknown bool
	// Certified says that algorithm and fingerprint are those of the certificate in the
	// place, because the card does not report its key.
	Certified bool
	// Origin is "generated" or "imported", PINPolicy and TouchPolicy when a use needs the
	// PIN or a touch; empty where the card does not report them.
	Origin, PINPolicy, TouchPolicy string
	// Label and Usage are what the card keeps with the key; Touch says that each
	// use has to be confirmed by a touch of the card.
	Label string
	Usage []Usage
	Touch bool
}

// EachUse says that each use needs the PIN, even if it was verified before.
func (o *Occupant) EachUse() bool { return o.PINPolicy == "always" }

// Generated is what was put on the card by Generate or Import, as read back.
type Generated struct {
	Occupant
	Public  crypto.PublicKey
	Keygrip string // upper-case hex, 20 bytes, as libgcrypt computes it
	// Finished says that the key was there already, of a command that was
	// interrupted, and that only what it lacked was written.
	Finished bool
	// Unreported says that the card does not report Public again.
	Unreported bool
	// OnlyPKCS1 says that programs get RSASSA-PKCS1-v1_5 signatures of this RSA key, and
	// no RSASSA-PSS, which TLS 1.3 needs (RFC 8446, 4.2.3).
	OnlyPKCS1 bool
	// StaleCertificate is the certificate of the key before, which was deleted; nil where
	// there was none, or it stays.
	StaleCertificate []byte
	// Requested is the reference that was asked for, where the card gave the key
	// another; empty where it did not.
	Requested string
}

// Access is what a key needs from its caller to do its work.
type Access struct {
	// Policy sends the PINs.
	Policy *pin.Policy
	Now    func() time.Time
	// Notify tells the user that the card waits: for a touch, for a key
	// generation.
	Notify func(message string)
	// PublicKey is what the user gives as the public half, for a card that does not
	// report it; nil for none.
	PublicKey crypto.PublicKey
	// Expected is what the public half has to be, where everything that the key signs is
	// verified with it: a card need not be asked for it. nil for whatever it is.
	Expected crypto.PublicKey
}

// Prover is a key of a card that may not report its public half.
type Prover interface {
	// Reported says whether Public is what the card reports of the key, or what the user
	// gave, and not just that of a certificate.
	Reported(ctx context.Context) (bool, error)
	// Prove has the key show by a use that it is the private half of public, or it is a
	// problem.Mismatch.
	Prove(ctx context.Context, public crypto.PublicKey) error
}

// Remembered is a key that signs without being read again after its card was released.
type Remembered interface {
	// SignerOf is Signer of a key whose public half is known, where everything that it
	// signs is verified with it: the card is not asked for the key again.
	SignerOf(ctx context.Context, public crypto.PublicKey) (crypto.Signer, error)
}

// Verifier is a key whose PIN can be verified before it is used.
type Verifier interface {
	// VerifyPIN has it verified, unless it is.
	VerifyPIN(ctx context.Context) error
}

// TouchSetter is a key whose touch policy can be changed while it is on the card.
type TouchSetter interface {
	// Touch is the policy of the key.
	Touch(ctx context.Context) (Touch, error)
	// SetTouch changes it, and reads it back. An error says what is on the card now.
	SetTouch(ctx context.Context, policy Touch) error
}
