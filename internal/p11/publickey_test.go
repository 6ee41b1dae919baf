package p11

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/pubkey"
)

func der(t *testing.T, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func printable(t *testing.T, s string) []byte {
	t.Helper()
	return der(t, asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: []byte(s)})
}

// A module may write a point in three ways; all are the same key.
func TestECPublicKey(t *testing.T) {
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	montgomery, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		params [][]byte
		point  []byte
		want   crypto.PublicKey
	}{
		{"Ed25519", [][]byte{der(t, oidEd25519), der(t, oidEd25519GNU), printable(t, "edwards25519")}, edwards, edwards},
		{"X25519", [][]byte{der(t, oidX25519), der(t, oidCv25519GNU), printable(t, "curve25519")}, montgomery.PublicKey().Bytes(), montgomery.PublicKey()},
	}
	for curve, oid := range map[elliptic.Curve]asn1.ObjectIdentifier{elliptic.P256(): oidP256, elliptic.P384(): oidP384, elliptic.P521(): oidP521} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, struct {
			name   string
			params [][]byte
			point  []byte
			want   crypto.PublicKey
		}{curve.Params().Name, [][]byte{der(t, oid)}, point, &key.PublicKey})
	}
	for _, test := range tests {
		for _, params := range test.params {
			for form, point := range map[string][]byte{
				"octet string": der(t, test.point), "bare": test.point,
				"bit string": der(t, asn1.BitString{Bytes: test.point, BitLength: 8 * len(test.point)}),
			} {
				got, err := ecPublicKey(params, point)
				if err != nil || !pubkey.Same(got, test.want) {
					t.Errorf("%s, %x, %s: got %v, %v", test.name, params, form, got, err)
				}
			}
		}
		if _, err := ecPublicKey(test.params[0], test.point[1:]); err == nil {
			t.Errorf("%s: a point that is too short was taken", test.name)
		}
	}
	for _, params := range [][]byte{nil, {0x30, 0x00}, der(t, asn1.ObjectIdentifier{1, 3, 132, 0, 10}), printable(t, "edwards448")} {
		if key, err := ecPublicKey(params, make([]byte, 33)); err == nil {
			t.Errorf("%x: got %v", params, key)
		}
	}
}

func TestRSAPublicKey(t *testing.T) {
	key, err := rsaPublicKey([]byte{0, 0, 0xC1, 2, 3}, []byte{0, 1, 0, 1})
	if err != nil || key.(*rsa.PublicKey).E != 65537 || key.(*rsa.PublicKey).N.Cmp(big.NewInt(0xC10203)) != 0 {
		t.Errorf("got %v, %v", key, err)
	}
	for name, c := range map[string][2][]byte{
		"no modulus":             {nil, {3}},
		"no exponent":            {{0xC1}, nil},
		"exponent with 5 bytes":  {{0xC1}, {1, 0, 0, 0, 1}},
		"exponent over 31 bits":  {{0xC1}, {0x80, 0, 0, 1}},
		"modulus over 16384 bit": {make1(2049), {3}},
	} {
		if key, err := rsaPublicKey(c[0], c[1]); err == nil {
			t.Errorf("%s: got %v", name, key)
		}
	}
}

func make1(n int) []byte {
	b := make([]byte, n)
	b[0] = 1
	return b
}

func FuzzPublicKeyAttributes(f *testing.F) {
	p256, _ := hex.DecodeString("06082a8648ce3d030107")
	f.Add(p256, []byte{4, 65, 4})
	f.Add([]byte{0x13, 12, 'e', 'd', 'w', 'a', 'r', 'd', 's', '2', '5', '5', '1', '9'}, make([]byte, 32))
	f.Add([]byte{0xC1, 2, 3}, []byte{1, 0, 1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if key, err := ecPublicKey(a, b); err == nil {
			if _, err := x509.MarshalPKIXPublicKey(key); err != nil {
				t.Errorf("%T: %v", key, err)
			}
		}
		if key, err := rsaPublicKey(a, b); err == nil {
			if _, err := x509.MarshalPKIXPublicKey(key); err != nil {
				t.Errorf("%T: %v", key, err)
			}
		}
		_ = parseNumbers(a)
		if signature, err := marshalECDSA(a); err == nil {
			var pair struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(signature, &pair); err != nil {
				t.Error(err)
			}
		}
	})
}
