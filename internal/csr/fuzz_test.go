package csr

import (
	"bytes"
	"encoding/asn1"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// FuzzExtensions reads what may stand after the flags of a request. What is
// taken has to be DER that others can read.
func FuzzExtensions(f *testing.F) {
	for _, seed := range [][5]string{
		{"1.3.6.1.4.1.311.20.2=1E0A0055007300650072007A", "user@example.com", "example.com", "clientAuth", "digitalSignature"},
		{"2.5.29.37=critical,DER:30:00", "a@b", "*.example.com", "1.3.6.1.5.5.7.3.2", "keyAgreement"},
		{"1.2.3", "", "192.0.2.7", "critical", "encipherOnly"},
		{"1=", "2001:db8::7", "xn--a.b", "1.2", ""},
		{"0.40=0500", "https://example.com/", "urn:a:b", "any", "critical"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	f.Fuzz(func(t *testing.T, extension, name, other, purpose, usage string) {
		for _, o := range []Options{
			{Extensions: []string{extension}, ExtKeyUsage: []string{purpose}, KeyUsage: []string{usage}},
			{Emails: []string{name}, DNS: []string{other}},
			{IPs: []string{name}, URIs: []string{other}},
			{UPNs: []string{name, other}},
		} {
			list, err := extensions(o, true)
			if err != nil {
				if !problem.Is(err, problem.Usage) {
					t.Errorf("%+v: %v", o, err)
				}
				continue
			}
			for _, e := range list {
				var value asn1.RawValue
				if rest, err := asn1.Unmarshal(e.Value, &value); err != nil || len(rest) > 0 || !bytes.Equal(value.FullBytes, e.Value) {
					t.Errorf("%+v: %v is %X: %v", o, e.Id, e.Value, err)
				}
				der, err := asn1.Marshal(e)
				if err != nil || len(der) == 0 {
					t.Errorf("%+v: %v", o, err)
				}
			}
		}
	})
}
