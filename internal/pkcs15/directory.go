package pkcs15

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Directory is what is on a card.
type Directory struct {
	Label        string
	Serial       string // upper-case hex
	Manufacturer string

	// Incomplete says that an init was interrupted.
	Incomplete bool

	PINs         []PIN
	Keys         []PrivateKey
	PublicKeys   []PublicKey
	Certificates []Certificate

	files []directoryFile // of an applet
	has   part            // what was read of them
	named bool            // label and serial were read

	entered []PIN // those of EF.AOD, where they were read
}

// part is what can be read of a directory on its own.
type part byte

const (
	partKeys part = 1 << iota
	partPublicKeys
	partCertificates

	everything = partKeys | partPublicKeys | partCertificates
)

// PIN is an authentication object that is a PIN. Lengths are in bytes.
type PIN struct {
	ID, Label      string // ID in upper-case hex
	Reference      int
	Min, Max       int
	SO, Unblocking bool
	// TriesLeft is -1 where the card does not tell.
	TriesLeft int

	path        string // of the DF that it belongs to; empty where that is not told
	unblockedBy string // the ID of its PUK, where that is an object too
	further     bool   // another PIN of the card has the same role, and comes first
}

// PrivateKey is a private key object.
type PrivateKey struct {
	ID        []byte
	Label     string
	AuthID    string // of the PIN, upper-case hex
	EC        bool
	Bits      int // of the modulus or the field, 0 where the card does not tell
	Usage     Usage
	Reference int
	path      []byte // of the file that the key is in; nil where the card does not tell
	// Raw is the object as the directory has it.
	Raw []byte
}

// Fingerprint names a private key whose public half the card does not have: the
// SHA-256 of its entry in the directory, in upper-case hex.
func (k *PrivateKey) Fingerprint() string { return fmt.Sprintf("%X", sha256.Sum256(k.Raw)) }

// PublicKey is a public key object.
type PublicKey struct {
	ID    []byte
	Label string

	location
}

// Certificate is a certificate object.
type Certificate struct {
	ID        []byte
	Label     string
	Authority bool
	elsewhere bool // not in EF.CD, but with those that are trusted or useful

	location
}

// location is where the content of an object is.
type location struct {
	path          []byte
	index, length int    // length 0 for the whole file
	value         []byte // the content, where it is in the directory
}

// Usage is KeyUsageFlags of ISO/IEC 7816-15, 8.4; bit 0 is the first.
type Usage uint32

// Bits of Usage.
const (
	UsageEncrypt        Usage = 1 << 0
	UsageDecrypt        Usage = 1 << 1
	UsageSign           Usage = 1 << 2
	UsageSignRecover    Usage = 1 << 3
	UsageUnwrap         Usage = 1 << 5
	UsageDerive         Usage = 1 << 8
	UsageNonRepudiation Usage = 1 << 9
)

// Names are the usages of the command line's contract.
func (u Usage) Names() []string {
	var names []string
	if u&(UsageSign|UsageSignRecover|UsageNonRepudiation) != 0 {
		names = append(names, "sign")
	}
	if u.CanDecrypt() {
		names = append(names, "decrypt")
	}
	if u.CanDerive() {
		names = append(names, "derive")
	}
	return names
}

// CanSign reports whether a key may sign.
func (u Usage) CanSign() bool { return u&(UsageSign|UsageSignRecover|UsageNonRepudiation) != 0 }

// CanDecrypt and CanDerive report the same of a decryption, and of a shared secret.
func (u Usage) CanDecrypt() bool { return u&(UsageDecrypt|UsageUnwrap) != 0 }
func (u Usage) CanDerive() bool  { return u&UsageDerive != 0 }

// Algorithm is what users call the kind of key.
func (k *PrivateKey) Algorithm() string {
	switch {
	case k.Bits == 0:
		return "unknown"
	case k.EC:
		return fmt.Sprintf("p%d", k.Bits)
	}
	return fmt.Sprintf("rsa%d", k.Bits)
}

// Key is the private key with this ID, nil where there is none.
func (d *Directory) Key(id []byte) *PrivateKey {
	return find(d.Keys, func(k *PrivateKey) bool { return bytes.Equal(k.ID, id) })
}

// PublicKey is the public key object with this ID, nil where there is none.
func (d *Directory) PublicKey(id []byte) *PublicKey {
	return find(d.PublicKeys, func(k *PublicKey) bool { return bytes.Equal(k.ID, id) })
}

// Certificate is the certificate with this ID, nil where there is none.
func (d *Directory) Certificate(id []byte) *Certificate {
	return find(d.Certificates, func(c *Certificate) bool { return bytes.Equal(c.ID, id) })
}

// PIN is the PIN with this ID in hex, nil where there is none.
func (d *Directory) PIN(id string) *PIN {
	return find(d.PINs, func(p *PIN) bool { return strings.EqualFold(p.ID, id) })
}

// UserPIN is the PIN that protects what users have, nil where there is none.
func (d *Directory) UserPIN() *PIN {
	return find(d.PINs, func(p *PIN) bool { return !p.SO && !p.Unblocking })
}

// SOPIN is the PIN of the security officer, nil where there is none.
func (d *Directory) SOPIN() *PIN {
	return find(d.PINs, func(p *PIN) bool { return p.SO && !p.Unblocking })
}

// PUK is a PIN that unblocks others and is an object of its own, nil where
// there is none.
func (d *Directory) PUK() *PIN {
	return find(d.PINs, func(p *PIN) bool { return p.Unblocking })
}

func find[T any](list []T, wanted func(*T) bool) *T {
	for i := range list {
		if wanted(&list[i]) {
			return &list[i]
		}
	}
	return nil
}

// parsePublicKey reads a public key as cards and OpenSC's tools have it:
// SubjectPublicKeyInfo in PEM or DER, RSAPublicKey, or a point in an OCTET
// STRING, whose curve follows from its length.
func parsePublicKey(raw []byte) (crypto.PublicKey, error) {
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	raw = withoutPadding(raw)
	if public, err := pubkey.Parse(raw); err == nil {
		return public, nil
	}
	if public, err := x509.ParsePKCS1PublicKey(raw); err == nil {
		return public, nil
	}
	if point, ok := pointOf(raw); ok {
		for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
			if public, err := ecdsa.ParseUncompressedPublicKey(curve, point); err == nil {
				return public, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: a public key of %d bytes", errMalformed, len(raw))
}

func publicOfCertificate(raw []byte) crypto.PublicKey {
	certificate, err := cert.Parse(raw)
	if err != nil {
		return nil
	}
	switch certificate.PublicKey.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, *pubkey.Other:
		return certificate.PublicKey
	}
	return nil
}
