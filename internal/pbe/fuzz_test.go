package pbe

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/cardctl/cardctl/internal/ber"
)

// marshal is a value in DER.
func marshal(f *testing.F, value any) asn1.RawValue {
	f.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		f.Fatal(err)
	}
	return asn1.RawValue{FullBytes: der}
}

// algorithm is an AlgorithmIdentifier.
func algorithm(f *testing.F, oid asn1.ObjectIdentifier, parameters any) pkix.AlgorithmIdentifier {
	f.Helper()
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: marshal(f, parameters)}
}

// FuzzParse reads the parameters of encryptions and of MACs: what is accepted is in
// bounds, and opens nothing that it should not touch.
func FuzzParse(f *testing.F) {
	type counted struct {
		Salt       []byte
		Iterations int
	}
	salt := []byte("saltsalt")
	pbkdf2 := algorithm(f, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}, struct {
		Salt               []byte
		Iterations, Length int
		PRF                pkix.AlgorithmIdentifier
	}{salt, 2, 32, algorithm(f, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, asn1.NullRawValue)})
	scrypt := algorithm(f, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}, struct {
		Salt    []byte
		N, R, P int
	}{salt, 2, 1, 1})
	aes := algorithm(f, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, make([]byte, 16))
	for _, kdf := range []pkix.AlgorithmIdentifier{pbkdf2, scrypt} {
		pbes2 := algorithm(f, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}, []pkix.AlgorithmIdentifier{kdf, aes})
		f.Add(marshal(f, pbes2).FullBytes, make([]byte, 32))
		f.Add(marshal(f, struct {
			Digest struct {
				Algorithm pkix.AlgorithmIdentifier
				Value     []byte
			}
			Salt []byte
		}{struct {
			Algorithm pkix.AlgorithmIdentifier
			Value     []byte
		}{algorithm(f, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}, []pkix.AlgorithmIdentifier{kdf, aes}), salt}, salt}).FullBytes, []byte("message"))
	}
	for scheme := 1; scheme <= 6; scheme++ {
		old := algorithm(f, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, scheme}, counted{salt, 2})
		f.Add(marshal(f, old).FullBytes, make([]byte, 16))
	}
	f.Add([]byte("\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x05\x0D\x30\x80\x00\x00\x00\x00"), []byte{})
	password := NewPassword([]byte("secret"))
	f.Fuzz(func(t *testing.T, data, message []byte) {
		e, _, err := ber.Read(data)
		if err != nil {
			return
		}
		const few = 1000 // what is in bounds may take long all the same
		if s, err := Parse(e); err == nil {
			if s.Iterations < 0 || s.Iterations > MaxIterations {
				t.Fatalf("%d iterations", s.Iterations)
			}
			if s.Iterations > 0 && s.Iterations <= few {
				if plain, err := s.Decrypt(t.Context(), password, message); err == nil && len(plain) > len(message) {
					t.Fatalf("%d bytes became %d", len(message), len(plain))
				}
			}
		}
		if m, err := ParseMAC(e); err == nil {
			if m.Iterations < 0 || m.Iterations > MaxIterations {
				t.Fatalf("%d iterations", m.Iterations)
			}
			if m.Iterations > 0 && m.Iterations <= few {
				_ = m.Verify(t.Context(), password, message)
			}
		}
	})
}
