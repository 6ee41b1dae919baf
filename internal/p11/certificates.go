package p11

import (
	"bytes"
	"context"
	"encoding/asn1"

	"github.com/miekg/pkcs11"

	"github.com/cardctl/cardctl/internal/cert"
)

// WriteCertificate puts an X.509 certificate on the token, where everybody may
// read it. An issuer's has the ID of its own key: pass nil. The session has to
// be logged in. It does not look whether the certificate is there already.
func (s *Session) WriteCertificate(ctx context.Context, certificate *cert.Certificate, id []byte, label string) (StoredCertificate, error) {
	if err := s.writable(ctx); err != nil {
		return StoredCertificate{}, err
	}
	if id == nil {
		id = KeyID(certificate.PublicKey)
	}
	if label == "" {
		label = certificate.Subject.CommonName()
	}
	serial, err := asn1.Marshal(certificate.SerialNumber)
	if err != nil {
		return StoredCertificate{}, err
	}
	template := []objectAttribute{
		{pkcs11.CKA_CLASS, uint(pkcs11.CKO_CERTIFICATE)}, {pkcs11.CKA_CERTIFICATE_TYPE, uint(pkcs11.CKC_X_509)},
		{pkcs11.CKA_TOKEN, true}, {pkcs11.CKA_PRIVATE, false},
		{pkcs11.CKA_ID, id}, {pkcs11.CKA_LABEL, []byte(label)},
		{pkcs11.CKA_SUBJECT, certificate.RawSubject}, {pkcs11.CKA_ISSUER, certificate.RawIssuer},
		{pkcs11.CKA_SERIAL_NUMBER, serial}, {pkcs11.CKA_VALUE, bytes.Clone(certificate.Raw)},
	}
	o, err := change(ctx, s, "C_CreateObject", func() (object, error) { return s.create(template) })
	if err != nil {
		return StoredCertificate{}, err
	}
	return readBack(ctx, s, func() (StoredCertificate, error) {
		v, err := s.read(o, certificateAttributes)
		return newStoredCertificate(o, v), err
	})
}

// ReadCertificate reads a certificate again, nil where it is not there any
// more.
func (s *Session) ReadCertificate(ctx context.Context, c StoredCertificate) ([]byte, error) {
	return readBack(ctx, s, func() ([]byte, error) {
		value, err := s.module.library.attribute(s.handle, c.handle, pkcs11.CKA_VALUE)
		if CodeOf(err) == pkcs11.CKR_OBJECT_HANDLE_INVALID {
			return nil, nil
		}
		return bytes.Clone(value), err
	})
}

// DeleteCertificate removes one certificate. The session has to be logged in.
func (s *Session) DeleteCertificate(ctx context.Context, c StoredCertificate) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	return s.destroy(ctx, c.handle)
}
