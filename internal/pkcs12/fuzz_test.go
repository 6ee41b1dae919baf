package pkcs12_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"

	encode "software.sslmate.com/src/go-pkcs12"

	"github.com/cardctl/cardctl/internal/pkcs12"
	"github.com/cardctl/cardctl/internal/problem"
)

// FuzzOpen opens files of any kind: each is opened, or refused with a reason.
func FuzzOpen(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	for _, encoder := range []*encode.Encoder{
		encode.Passwordless, encode.Modern.WithIterations(1), encode.LegacyRC2.WithIterations(1), encode.LegacyDES.WithIterations(1),
	} {
		for _, password := range []string{"", "secret"} {
			file, err := encoder.Encode(key, leaf, []*x509.Certificate{leaf}, password)
			if err != nil {
				continue // one kind has no password
			}
			f.Add(file)
		}
	}
	f.Add([]byte("\x30\x80\x02\x01\x03\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x01\xA0\x80\x24\x80\x04\x02\x30\x80\x04\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		contents, err := pkcs12.Open(ctx, data, typed("secret"))
		var p *problem.Error
		switch {
		case err != nil && len(contents.Keys)+len(contents.Certificates) > 0:
			t.Fatalf("contents, and %v", err)
		case err != nil && !errors.As(err, &p) && ctx.Err() == nil:
			t.Fatalf("%T: %v", err, err)
		}
		for _, c := range contents.Certificates {
			if len(c.Raw) == 0 || len(c.Raw) > len(data) {
				t.Fatalf("a certificate of %d bytes in a file of %d", len(c.Raw), len(data))
			}
		}
		contents.Wipe()
	})
}
