//go:build cgo

package smoke_test

import (
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/test/softhsm"
)

// TestAble tells without a login what the libraries do with a key.
func TestAble(t *testing.T) {
	token := softhsm.New(t, "able")
	for i, c := range []struct {
		kind    string
		whole   bool
		library smoke.Library
		not12   bool
		not13   bool
	}{
		{"EC:prime256v1", false, smoke.NSS, false, false},
		{"EC:prime256v1", true, smoke.NSS, false, false},
		{"EC:secp384r1", false, smoke.OpenSSL, false, false},
		{"EC:secp384r1", true, smoke.OpenSSL, true, false},
		{"EC:edwards25519", false, smoke.NSS, true, true},
		{"EC:edwards25519", false, smoke.GnuTLS, false, false},
		{"rsa:2048", false, smoke.NSS, false, false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			id := byte(i + 1)
			token.Generate(t, c.kind, id, "key")
			o := options(t, token, fmt.Sprintf("%%%02X", id))
			key := public(t, o)
			m, err := p11.NewModules().Load(t.Context(), token.Module, "")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = m.Close() }()
			s, err := m.Open(t.Context(), o.URI)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			able, err := smoke.Able(t.Context(), s, key, c.whole, c.library)
			if err != nil || able.TLS12 != "" != c.not12 || able.TLS13 != "" != c.not13 {
				t.Errorf("%+v, %v", able, err)
			}
		})
	}
}
