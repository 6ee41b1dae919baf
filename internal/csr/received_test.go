package csr

import (
	"bytes"
	"encoding/base64"
	"maps"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

func TestReadIsTheOtherEndOfBuild(t *testing.T) {
	all := maps.Clone(signers())
	for _, curve := range []string{"brainpoolP256r1", "brainpoolP384r1", "secp256k1"} {
		all[curve] = newOpenSSLSigner(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"+curve)
	}
	all["Ed448"] = newOpenSSLSigner(t, "-algorithm", "ED448")
	for name, signer := range all {
		r, err := Parse(Options{Subject: "CN=a", Emails: []string{"a@example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		der, err := Build(t.Context(), signer, r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, data := range [][]byte{der, PEMRequest(der), []byte(base64.StdEncoding.EncodeToString(der))} {
			read, err := Read(data)
			if err != nil || read.Subject.String() != "CN=a" || !pubkey.Same(read.PublicKey, signer.Public()) || len(read.Extensions) != 1 {
				t.Errorf("%s: %+v, %v", name, read, err)
			}
		}
		der[len(der)-1] ^= 1
		if _, err := Read(der); err == nil {
			t.Errorf("%s: a wrong signature passes", name)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	r, err := Parse(Options{Subject: "CN=a"})
	if err != nil {
		t.Fatal(err)
	}
	der, err := Build(t.Context(), signer(t, "p256"), r)
	if err != nil {
		t.Fatal(err)
	}
	another := bytes.Replace(der, []byte("\x0c\x01a"), []byte("\x0c\x01b"), 1)
	for what, data := range map[string][]byte{
		"does not verify": another,
		"2 requests":      append(PEMRequest(der), PEMRequest(der)...),
		"holds":           PEMCertificate(der),
		"longer than":     make([]byte, MaxFile+1),
		"not a PKCS#10":   append(bytes.Clone(der[:1]), der[2:]...),
	} {
		if _, err := Read(data); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	r, err := Parse(Options{Subject: "CN=a"})
	if err != nil {
		f.Fatal(err)
	}
	der, err := Build(f.Context(), signers()["p256"], r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add(PEMRequest(der))
	f.Fuzz(func(t *testing.T, data []byte) {
		if read, err := Read(data); err == nil && read.PublicKey == nil {
			t.Error("a request without a key")
		}
	})
}
