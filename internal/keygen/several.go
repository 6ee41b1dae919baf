package keygen

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pkcs12"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// fromPKCS12 is the key of a PKCS#12 file that is called name, or the only one.
func fromPKCS12(ctx context.Context, data []byte, name string, ask secret.Asker) (crypto.PrivateKey, []*cert.Certificate, error) {
	contents, err := pkcs12.Open(ctx, data, ask)
	defer contents.Wipe()
	switch {
	case err != nil:
		return nil, nil, err
	case len(contents.Keys) == 0:
		return nil, nil, notAKey("a PKCS#12 file without a private key")
	case len(contents.Keys) == 1 && name == "":
		private, err := parsePlain(contents.Keys[0].PKCS8)
		return private, contents.Certificates, err
	}
	private, err := choose(contents.Keys, name)
	return private, contents.Certificates, err
}

// leastFingerprint is how many digits of a fingerprint name a key.
const leastFingerprint = 8

// choose finds one of several keys by its name, or by the beginning of its fingerprint.
func choose(keys []pkcs12.Key, name string) (crypto.PrivateKey, error) {
	var chosen []crypto.PrivateKey
	var list []string
	for _, k := range keys {
		private, err := parsePlain(k.PKCS8)
		if err != nil {
			if k.Name == name && name != "" {
				return nil, err
			}
			list = append(list, fmt.Sprintf("%q, which is not supported", k.Name))
			continue
		}
		public, err := publicOf(private)
		if err != nil {
			return nil, err
		}
		fingerprint := pubkey.Fingerprint(public)
		list = append(list, fmt.Sprintf("%q (%s, %s)", k.Name, key.AlgorithmOf(public), fingerprint[:2*leastFingerprint]))
		if name != "" && (k.Name == name || len(name) >= leastFingerprint && strings.HasPrefix(fingerprint, strings.ToUpper(name))) {
			chosen = append(chosen, private)
		}
	}
	if len(chosen) == 1 {
		return chosen[0], nil
	}
	const shown = 10
	if len(list) > shown {
		list = append(list[:shown], "…")
	}
	p := problem.New(problem.Mismatch, "the PKCS#12 file has %d private keys", len(keys))
	switch {
	case name != "" && len(chosen) == 0:
		p = problem.New(problem.NotFound, "the PKCS#12 file has no private key with the name %q", name)
	case name != "":
		p = problem.New(problem.NotFound, "the PKCS#12 file has %d private keys with the name %q", len(chosen), name)
	}
	return nil, p.Because("Its keys, by name or SHA-256 fingerprint: %s.", strings.Join(list, ", ")).
		Advise(advice.Repeat(advice.Fill(advice.Name)))
}
