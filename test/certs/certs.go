// Package certs turns certificates that a test made with crypto/x509 into those that
// cardctl works with.
package certs

import (
	"crypto/x509"
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
