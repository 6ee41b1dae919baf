//go:build stack

package bench

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// hostileSize is the length of the files of TestHostileFiles, about, in bytes.
const hostileSize = 1 << 20

// hostileFiles make files that ask for much work or memory. One is made after the other:
// Linux counts the memory of the process that starts another one in with its own.
func hostileFiles(t *testing.T) map[string]func() []byte {
	t.Helper()
	der := func(value any) []byte {
		encoded, err := asn1.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	repeated := func(what string) []byte { return bytes.Repeat([]byte(what), hostileSize/len(what)) }
	const half = hostileSize / 2
	number := func() *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), 4*hostileSize-32_000)
		return n.Add(n, big.NewInt(12345))
	}
	one, raw := big.NewInt(1), func(b []byte) asn1.RawValue { return asn1.RawValue{FullBytes: b} }
	type dated struct{ From, To time.Time }
	certificate := func(key pkix.AlgorithmIdentifier, public []byte, extension pkix.Extension) []byte {
		type tbs struct {
			Serial         *big.Int
			Signature      pkix.AlgorithmIdentifier
			Issuer         pkix.RDNSequence
			Validity       dated
			Subject        pkix.RDNSequence
			PublicKey      asn1.RawValue
			ExtensionsOfIt []pkix.Extension `asn1:"explicit,tag:3"`
		}
		algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
		name := pkix.Name{CommonName: "hostile"}.ToRDNSequence()
		spki := der(struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}{key, asn1.BitString{Bytes: public, BitLength: 8 * len(public)}})
		return der(struct {
			TBS       tbs
			Algorithm pkix.AlgorithmIdentifier
			Signature asn1.BitString
		}{tbs{one, algorithm, name, dated{time.Unix(0, 0).UTC(), time.Unix(1<<31, 0).UTC()}, name, raw(spki), []pkix.Extension{extension}}, algorithm, asn1.BitString{Bytes: make([]byte, 128), BitLength: 1024}})
	}
	rsa := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue}
	small := der(struct{ N, E *big.Int }{new(big.Int).Lsh(one, 1024), big.NewInt(3)})
	names := func() []byte {
		return append([]byte{0x30, 0x83, 0x0F, 0x00, 0x00}, bytes.Repeat([]byte("\x82\x01a"), 0x0F0000/3)...)
	}
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(rsa, small, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte("a")})})
	iterations := func(n int) []byte {
		type mac struct {
			Digest struct {
				Algorithm pkix.AlgorithmIdentifier
				Value     []byte
			}
			Salt       []byte
			Iterations int
		}
		m := mac{Salt: []byte("saltsalt"), Iterations: n}
		m.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Parameters: asn1.NullRawValue}
		m.Digest.Value = make([]byte, 20)
		return der(struct {
			Version int
			Content struct {
				Type    asn1.ObjectIdentifier
				Content []byte `asn1:"explicit,tag:0"`
			}
			MAC mac
		}{3, struct {
			Type    asn1.ObjectIdentifier
			Content []byte `asn1:"explicit,tag:0"`
		}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}, []byte{0x30, 0x00}}, m})
	}
	return map[string]func() []byte{
		"nested":        func() []byte { return repeated("\x30\x80") },
		"nested-octets": func() []byte { return repeated("\x24\x80") },
		"blocks":        func() []byte { return repeated("-----BEGIN A-----\nAA==\n-----END A-----\n") },
		"begins":        func() []byte { return repeated("-----BEGIN CERTIFICATE-----\n") },
		"one-line":      func() []byte { return append([]byte("-----BEGIN CERTIFICATE-----"), repeated("-")[64:]...) },
		"certificates":  func() []byte { return bytes.Repeat(leaf, hostileSize/len(leaf)) },
		"names": func() []byte {
			return certificate(rsa, small, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names()})
		},
		"modulus": func() []byte {
			return certificate(rsa, der(struct{ N, E *big.Int }{number(), number()}), pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte("a")})
		},
		"key": func() []byte {
			return der(struct {
				Version                   int
				N, E, D, P, Q, DP, DQ, QI *big.Int
			}{0, number(), big.NewInt(3), new(big.Int).Rsh(number(), half), big.NewInt(3), big.NewInt(5), one, one, one})
		},
		"iterations": func() []byte { return iterations(1<<31 - 1) },
		"commands":   func() []byte { return repeated("print\n") },
		"words":      func() []byte { return repeated("a ") },
	}
}

// TestHostileFiles reads files of a mebibyte that are made to cost much: none takes more
// than 40 MiB and two seconds, and none is accepted.
func TestHostileFiles(t *testing.T) {
	d := stack.NewDesk(t)
	d.Setenv("CARDCTL_PASSWORD", "secret")
	d.Run("cardctl", "sim", "create", "hostile", "--applications", "openpgp")
	d.Run("cardctl", "sim", "create", "java", "--applications", "gp")
	const most = 2 * time.Second
	for name, content := range hostileFiles(t) {
		if err := os.WriteFile(d.Path(name), content(), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			"import-cert -r sim:hostile -k OPENPGP.3 FILE", "import-key -r sim:hostile -k OPENPGP.3 FILE",
			"import-cert -r sim:hostile -k OPENPGP.3 FILE --ca FILE", "gen-csr -r sim:hostile -k OPENPGP.3 --subject CN=a --public-key FILE",
			"applet script -r sim:java FILE", "applet inspect FILE", "applet store-data -r sim:java --card-keys default FILE",
		} {
			line = strings.ReplaceAll(line, "FILE", name)
			r, usage := d.TryMeasured("cardctl", strings.Fields(line)...)
			if r.Exit == 0 && !(name == "iterations" && strings.HasPrefix(line, "applet store-data")) {
				t.Errorf("%s: accepted", line)
			}
			if usage.PeakMemory >= mostMemory || usage.Work > most {
				t.Errorf("%s: %.0f MiB, %s", line, mebibytes(usage.PeakMemory), usage.Work)
			}
		}
	}
}
