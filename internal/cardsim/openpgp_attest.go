package cardsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// openpgpAttestation is the maker's key on a card, DO FC with its certificate, and the
// certificate of the maker.
type openpgpAttestation struct {
	PKCS8       []byte `json:"pkcs8"`
	Certificate []byte `json:"certificate"`
	Authority   []byte `json:"authority"`

	private *ecdsa.PrivateKey
}

// load parses the stored key.
func (t *openpgpAttestation) load() error {
	private, err := x509.ParsePKCS8PrivateKey(t.PKCS8)
	if err != nil {
		return err
	}
	var ok bool
	if t.private, ok = private.(*ecdsa.PrivateKey); !ok {
		return fmt.Errorf("an attestation key of type %T", private)
	}
	return nil
}

// makeAttestation makes a maker that this card alone has, and its key on the card.
func makeAttestation() (*openpgpAttestation, error) {
	root, err := newAuthority("OpenPGP Attestation Root CA of a simulated maker", nil)
	if err != nil {
		return nil, err
	}
	made := &openpgpAttestation{Authority: root.certificate.Raw}
	if made.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if made.PKCS8, err = x509.MarshalPKCS8PrivateKey(made.private); err != nil {
		return nil, err
	}
	own := authorityTemplate("OpenPGP Attestation of a simulated card", 2)
	own.MaxPathLenZero = true
	made.Certificate, err = x509.CreateCertificate(rand.Reader, own, root.certificate, made.private.Public(), root.key)
	return made, err
}

// attestationCA is the certificate of the maker.
func (a *openpgp) attestationCA() [][]byte {
	if a.state.Attestation == nil {
		return nil
	}
	return [][]byte{a.state.Attestation.Authority}
}

// attestsKeys reports whether the card has an attestation key.
func (a *openpgp) attestsKeys() bool { return a.profile.yubikey.since(5, 2) }

// attests reports whether a command is the one with a class of its own.
func (a *openpgp) attests(c iso7816.Command) bool {
	return c.CLA == 0x80 && c.INS == insYubicoAttest && a.attestsKeys()
}

// readAttestation are the data objects of the attestation key.
func (a *openpgp) readAttestation(tag iso7816.Tag) ([]byte, bool) {
	if !a.attestsKeys() {
		return nil, false
	}
	switch tag {
	case tagAttestationAttributes:
		return []byte{0x13, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07}, true // ECDSA, P-256
	case tagAttestationCertificate:
		return a.state.Attestation.Certificate, true
	}
	return nil, false
}

func (a *openpgp) putAttestationCertificate(data []byte) iso7816.Status {
	if len(data) > a.profile.certificateLimit {
		return iso7816.StatusWrongLength
	}
	changed := *a.state.Attestation
	changed.Certificate = data
	a.state.Attestation = &changed
	return a.save()
}

// attest is Yubico's ATTEST: it writes a certificate for a key that was made on the card
// over the one that is stored for the key.
func (a *openpgp) attest(c iso7816.Command) iso7816.Status {
	if c.CLA != 0x80 {
		return iso7816.StatusINSNotSupported
	}
	if c.P1 < 1 || c.P1 > byte(slots) || c.P2 != 0 {
		return iso7816.StatusWrongP1P2
	}
	s := slot(c.P1 - 1)
	k := &a.state.Keys[s]
	switch {
	case !a.has(pw1Sign):
		return iso7816.StatusSecurityNotSatisfied
	case k.private == nil:
		return iso7816.StatusReferenceNotFound
	case k.Origin != keyGenerated:
		return iso7816.StatusConditionsNotSatisfied
	case a.state.UIF[interactions-1] != uifOff && a.profile.nobodyAtCard:
		return statusSecurityIssue
	}
	issuer, err := x509.ParseCertificate(a.state.Attestation.Certificate)
	if err != nil {
		return iso7816.StatusReferenceNotFound
	}
	statement, err := a.statement(s, issuer)
	if err != nil {
		return iso7816.StatusUnknown
	}
	a.state.Certificates[slotAUT-s] = statement
	return a.save()
}

// statement has the extensions of Yubico's OpenPGP arc, 1.3.6.1.4.1.41482.5: cardholder,
// source, firmware, fingerprint, time, signature counter, serial, touch, form factor.
func (a *openpgp) statement(s slot, issuer *x509.Certificate) ([]byte, error) {
	k := &a.state.Keys[s]
	values := []any{
		latin1(a.state.Objects[keyOf(tagName)]), 1, a.profile.yubikey[:], k.Fingerprint, k.Created,
		int(a.state.SignatureCounter), a.serialNumber(), []byte{a.state.UIF[s]}, []byte{1},
	}
	var extensions []pkix.Extension
	for i, value := range values {
		const cardholder, counter = 0, 5
		if i == counter && s != slotSIG {
			continue
		}
		parameters := ""
		if i == cardholder {
			parameters = "utf8"
		}
		der, err := asn1.MarshalWithParams(value, parameters)
		if err != nil {
			return nil, err
		}
		extensions = append(extensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 5, i + 1}, Value: der})
	}
	number := make([]byte, 16)
	if _, err := rand.Read(number); err != nil {
		return nil, err
	}
	name := [...]string{"SIG", "DEC", "AUT"}[s]
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(number), Subject: pkix.Name{CommonName: "YubiKey OPGP Attestation " + name},
		NotBefore: issuer.NotBefore, NotAfter: issuer.NotAfter, ExtraExtensions: extensions,
	}, issuer, pivPublicKey(k.private), a.state.Attestation.private)
}

// serialNumber is the serial, which a YubiKey has in its application identifier in decimal
// digits.
func (a *openpgp) serialNumber() int {
	n, err := strconv.Atoi(fmt.Sprintf("%X", a.serial[:]))
	if err != nil {
		return int(binary.BigEndian.Uint32(a.serial[:]))
	}
	return n
}

// latin1 is text in ISO 8859-1.
func latin1(text []byte) string {
	letters := make([]rune, len(text))
	for i, b := range text {
		letters[i] = rune(b)
	}
	return string(letters)
}
