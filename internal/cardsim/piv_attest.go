package cardsim

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// makeAttestation puts a key into slot F9 and its certificate on the card, signed by
// the key of a maker that this card alone has, or by one between the two.
func (a *piv) makeAttestation() error {
	f := a.profile.piv
	root, err := newAuthority("PIV Root CA of a simulated maker", nil)
	if err != nil {
		return err
	}
	issuer := root
	a.state.Authorities = [][]byte{root.certificate.Raw}
	if f.twoLevels() {
		if issuer, err = newAuthority("PIV Attestation CA of a simulated maker", root); err != nil {
			return err
		}
		a.state.Authorities = append(a.state.Authorities, issuer.certificate.Raw)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	own := authorityTemplate("PIV Attestation of a simulated card", 2)
	own.MaxPathLenZero = true
	own.ExtraExtensions = []pkix.Extension{{Id: yubicoExtension(arcFirmware), Value: f.firmware[:]}}
	if f.unmarked() {
		own.IsCA, own.BasicConstraintsValid, own.MaxPathLenZero, own.KeyUsage = false, false, false, 0
	}
	ownDER, err := x509.CreateCertificate(rand.Reader, own, issuer.certificate, key.Public(), issuer.key)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	a.state.Keys = map[pivSlot]pivKey{pivSlotOf(pivAttestation): {PKCS8: encoded, private: key, PINPolicy: pivPINOnce, Touch: pivTouchNever}}
	a.state.Objects = map[simpleTag][]byte{keyOf(pivAttestationCertificate): pivCertificateObject(ownDER)}
	return nil
}

// attestationCA are the certificates of the maker, the root first.
func (a *piv) attestationCA() [][]byte { return a.state.Authorities }

// makerAuthority is one of the maker's CAs while a card is made.
type makerAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newAuthority makes a CA that the one above it signs; a root where there is none.
func newAuthority(name string, above *makerAuthority) (*makerAuthority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := authorityTemplate(name, 1)
	if above == nil {
		above = &makerAuthority{certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above.certificate, key.Public(), above.key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &makerAuthority{certificate, key}, err
}

// pivCertificateObject is part 1, appendix A, table 10: a certificate that is not
// compressed, without a LRC.
func pivCertificateObject(der []byte) []byte {
	const tagCertificate, tagInformation, tagCode = 0x70, 0x71, 0xFE
	b := iso7816.AppendTLV(nil, tagCertificate, der)
	return iso7816.AppendTLV(iso7816.AppendTLV(b, tagInformation, []byte{0}), tagCode)
}

// Yubico's attestation certificates are valid from and until these days.
func attestationTime(year int) time.Time { return time.Date(year, 3, 14, 0, 0, 0, 0, time.UTC) }

func authorityTemplate(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: attestationTime(2016), NotAfter: attestationTime(2052),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// attest is Yubico's ATTEST: a certificate for a key that was made on the card.
func (a *piv) attest(c iso7816.Command) ([]byte, iso7816.Status) {
	k, there := a.state.Keys[pivSlotOf(c.P1)]
	signer, ready := a.state.Keys[pivSlotOf(pivAttestation)]
	stored, certified := a.state.Objects[keyOf(pivAttestationCertificate)]
	switch {
	case c.P2 != 0 || !a.isSlot(c.P1) || c.P1 == pivAttestation:
		return nil, iso7816.StatusWrongP1P2
	case !there || !ready || !certified:
		return nil, iso7816.StatusReferenceNotFound
	case k.Imported:
		return nil, iso7816.StatusWrongData
	}
	const tagCertificate = 0x70
	der, _ := iso7816.FindTLV(stored, tagCertificate)
	issuer, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, iso7816.StatusReferenceNotFound
	}
	statement, err := a.statement(c.P1, k, issuer, signer.private)
	if err != nil {
		return nil, iso7816.StatusUnknown
	}
	return statement, iso7816.StatusOK
}

// Arcs of Yubico's extensions, 1.3.6.1.4.1.41482.3.
const (
	arcFirmware   = 3
	arcSerial     = 7
	arcPolicies   = 8
	arcFormFactor = 9
)

func yubicoExtension(arc int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, arc}
}

// statement has Yubico's extensions: firmware, serial, policies, form factor. The serial
// is an INTEGER, and the others are plain bytes, except on a card that mixes them up.
func (a *piv) statement(slot byte, k pivKey, issuer *x509.Certificate, signer crypto.PrivateKey) ([]byte, error) {
	f := a.profile.piv
	serial, err := asn1.Marshal(int64(binary.BigEndian.Uint32(a.serial[:])))
	if err != nil {
		return nil, err
	}
	const keychain = 1
	values := map[int][]byte{arcFirmware: f.firmware[:], arcPolicies: {k.PINPolicy, k.Touch}, arcFormFactor: {keychain}}
	if f.oddStatement {
		serial = a.serial[:]
		for arc, value := range values {
			if values[arc], err = asn1.Marshal(value); err != nil {
				return nil, err
			}
		}
	}
	values[arcSerial] = serial
	extensions := make([]pkix.Extension, 0, len(values))
	for _, arc := range []int{arcFirmware, arcSerial, arcPolicies, arcFormFactor} {
		extensions = append(extensions, pkix.Extension{Id: yubicoExtension(arc), Value: values[arc]})
	}
	number := make([]byte, 16)
	if _, err := rand.Read(number); err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(number),
		Subject:      pkix.Name{CommonName: fmt.Sprintf("YubiKey PIV Attestation %02x", slot)},
		NotBefore:    issuer.NotBefore, NotAfter: issuer.NotAfter,
		ExtraExtensions: extensions,
	}, issuer, pivPublicKey(k.private), signer)
}

// pivPublicKey is the public half of a key of any kind.
func pivPublicKey(private crypto.PrivateKey) crypto.PublicKey {
	switch key := private.(type) {
	case *rsa.PrivateKey:
		return key.Public()
	case *ecdh.PrivateKey:
		return key.PublicKey()
	case crypto.Signer:
		return key.Public()
	}
	return nil
}
