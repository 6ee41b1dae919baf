// Package certs turns certificates that a test made with crypto/x509 into those that
// cardctl works with, and makes those that cards sign about their keys.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/cert"
)

// One reads a certificate.
func One(t testing.TB, standard *x509.Certificate) *cert.Certificate {
	t.Helper()
	c, err := cert.Of(standard)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// All reads several certificates.
func All(t testing.TB, standard ...*x509.Certificate) []*cert.Certificate {
	t.Helper()
	var list []*cert.Certificate
	for _, c := range standard {
		list = append(list, One(t, c))
	}
	return list
}

// Statement is a certificate with extensions of Yubico, of one application and with these
// values by their last arcs: a statement of a card about a key.
func Statement(t testing.TB, subject string, application int, values map[int]string) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject}}
	for arc, value := range values {
		id := []int{1, 3, 6, 1, 4, 1, 41482, application, arc}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: id, Value: []byte(value)})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
