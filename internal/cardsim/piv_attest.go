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
// the key of a maker that this card alone has.
func (a *piv) makeAttestation() error {
	root, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	rootCertificate := authority("PIV Root CA of a simulated maker", 1)
	rootDER, err := x509.CreateCertificate(rand.Reader, rootCertificate, rootCertificate, root.Public(), root)
	if err != nil {
		return err
	}
	own := authority("PIV Attestation of a simulated card", 2)
	own.MaxPathLenZero = true
	ownDER, err := x509.CreateCertificate(rand.Reader, own, rootCertificate, key.Public(), root)
	if err != nil {
		return err
	}
	if a.state.Root, err = x509.MarshalPKCS8PrivateKey(root); err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	a.state.RootCertificate = rootDER
	a.state.Keys = map[pivSlot]pivKey{pivSlotOf(pivAttestation): {PKCS8: encoded, private: key, PINPolicy: pivPINOnce, Touch: pivTouchNever}}
	a.state.Objects = map[simpleTag][]byte{keyOf(pivAttestationCertificate): pivCertificateObject(ownDER)}
	return nil
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

func authority(name string, serial int64) *x509.Certificate {
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

// statement has Yubico's extensions: firmware, serial, policies.
func (a *piv) statement(slot byte, k pivKey, issuer *x509.Certificate, signer crypto.PrivateKey) ([]byte, error) {
	yubico := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3}
	oid := func(last int) asn1.ObjectIdentifier { return append(append(asn1.ObjectIdentifier{}, yubico...), last) }
	serial, err := asn1.Marshal(int64(binary.BigEndian.Uint32(a.serial[:])))
	if err != nil {
		return nil, err
	}
	firmware := a.profile.piv.firmware
	number := make([]byte, 16)
	if _, err := rand.Read(number); err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(number),
		Subject:      pkix.Name{CommonName: fmt.Sprintf("YubiKey PIV Attestation %02x", slot)},
		NotBefore:    issuer.NotBefore, NotAfter: issuer.NotAfter,
		ExtraExtensions: []pkix.Extension{
			{Id: oid(3), Value: firmware[:]},
			{Id: oid(7), Value: serial},
			{Id: oid(8), Value: []byte{k.PINPolicy, k.Touch}},
		},
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
