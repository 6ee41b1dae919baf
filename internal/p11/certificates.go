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
	o, err := change(ctx, s, "C_CreateObject", func() (object, error) { return s.module.library.createObject(s.handle, template) })
	return StoredCertificate{ID: id, Label: label, DER: certificate.Raw, parsed: certificate, handle: o}, err
}

// CertificateWith is the certificate object that holds exactly this certificate,
// whatever its names are; nil where there is none.
func (s *Session) CertificateWith(ctx context.Context, der []byte) (*StoredCertificate, error) {
	c, err := again(ctx, s, "C_FindObjects", func() (*StoredCertificate, error) {
		found, err := s.objects(pkcs11.CKO_CERTIFICATE, objectAttribute{pkcs11.CKA_VALUE, der})
		if err != nil || len(found) == 0 {
			return nil, err
		}
		v, err := s.read(found[0], certificateAttributes)
		c := newStoredCertificate(found[0], v)
		if !bytes.Equal(c.DER, der) { // a module that does not search by values
			return nil, err
		}
		return &c, err
	})
	return c, s.Explain(ctx, err)
}

// Certificates reads every certificate on the token: one call each.
func (s *Session) Certificates(ctx context.Context) ([]StoredCertificate, error) {
	list, err := again(ctx, s, "C_FindObjects", func() ([]StoredCertificate, error) {
		found, err := s.objects(pkcs11.CKO_CERTIFICATE)
		if err != nil {
			return nil, err
		}
		var list []StoredCertificate
		for _, o := range found {
			v, err := s.read(o, certificateAttributes)
			if err != nil {
				return nil, err
			}
			list = append(list, newStoredCertificate(o, v))
		}
		return list, nil
	})
	return list, s.Explain(ctx, err)
}

// SetCertificateID gives a certificate another ID. It is false where the module does
// not let it be changed. The session has to be logged in.
func (s *Session) SetCertificateID(ctx context.Context, c StoredCertificate, id []byte) (bool, error) {
	if err := s.writable(ctx); err != nil {
		return false, err
	}
	return s.setIDOf(ctx, id, c.handle)
}

// ReadCertificate reads a certificate again, nil where it is not there any
// more.
func (s *Session) ReadCertificate(ctx context.Context, c StoredCertificate) ([]byte, error) {
	return readBack(ctx, s, func() ([]byte, error) {
		v, err := s.read(c.handle, []uint{pkcs11.CKA_VALUE})
		if CodeOf(err) == pkcs11.CKR_OBJECT_HANDLE_INVALID {
			return nil, nil
		}
		return v[pkcs11.CKA_VALUE], err
	})
}

// DeleteCertificate removes one certificate. The session has to be logged in.
func (s *Session) DeleteCertificate(ctx context.Context, c StoredCertificate) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	return s.destroy(ctx, c.handle)
}
