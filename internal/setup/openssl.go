package setup

import (
	"context"
	"crypto"
	"crypto/rand"
	"os"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

// openssl has programs with OpenSSL find the module, through the engine of libp11. They
// get the configuration by the variable OPENSSL_CONF.
func openssl() target {
	return target{
		name:     "openssl",
		needs:    []program{{names: []string{"openssl"}, pack: "openssl"}, opensslEngine()},
		accepts:  []Option{advice.User, advice.System, advice.AllowTLS12, advice.Agent},
		loads:    true,
		optional: true,
		plan:     planOpenSSL,
		check:    checkOpenSSL,
	}
}

func planOpenSSL(ctx context.Context, j *job) (plan, error) {
	module, err := j.module()
	if err != nil {
		return plan{}, err
	}
	lower := j.AllowTLS12
	if j.key != nil {
		if lower, err = j.lowersOpenSSL(ctx, "OpenSSL"); err != nil {
			return plan{}, err
		}
	}
	p := plan{
		entries: []entry{j.opensslFile(opensslconf.Additions{Module: module, TLS12: lower})},
		next:    []string{"export " + opensslconf.Variable + "=" + typed.Quoted(j.opensslConf())},
		undone:  []string{"unset " + opensslconf.Variable},
		notes:   j.agentNotes(),
	}
	if lower {
		p.notes = append(p.notes, "Every program with this configuration is limited to TLS 1.2.")
	}
	if j.key != nil {
		p.next = append(p.next, "openssl req -new -engine pkcs11 -keyform engine -key '"+j.key.known.URI+"' -subj /CN=NAME")
	}
	return p, nil
}

// names reports whether a variable names a configuration, perhaps by another path.
func names(entry, path string) bool {
	named, is := strings.CutPrefix(entry, opensslconf.Variable+"=")
	if !is || named == path {
		return is
	}
	one, err := os.Stat(named)
	if err != nil {
		return false
	}
	other, err := os.Stat(path)
	return err == nil && os.SameFile(one, other)
}

// checkOpenSSL has openssl sign with the key, or without a key only load the engine.
func checkOpenSSL(ctx context.Context, j *job) (string, error) {
	p, err := planOpenSSL(ctx, j)
	if err != nil {
		return "", err
	}
	conf := opensslconf.Variable + "=" + p.entries[0].place()
	if j.key == nil {
		_, err := j.run(ctx, []string{conf}, "openssl", "engine", "-t", opensslconf.Engine)
		return "openssl loads the engine", err
	}
	message := make([]byte, 32)
	_, _ = rand.Read(message) // never fails
	const variable = "SETUP_CHECK"
	signature := ""
	err = j.sendPIN(ctx, func(ctx context.Context, value *secret.Bytes) (err error) {
		environment, passin := []string{conf}, []string(nil)
		if value != nil {
			environment, passin = append(environment, variable+"="+string(value.Reveal())), []string{"-passin", "env:" + variable}
		}
		args := slices.Concat([]string{"dgst", "-engine", opensslconf.Engine, "-keyform", "engine", "-sha256"}, passin, []string{"-sign", j.key.known.URI})
		signature, err = j.feed(ctx, message, environment, "openssl", args...)
		return err
	})
	if err != nil {
		return "", err
	}
	if err := (p11.Scheme{Hash: crypto.SHA256}).Verify(j.key.public, message, []byte(signature)); err != nil {
		return "", problem.New(problem.Mismatch, "the signature that openssl made does not verify").
			Because("It was made with another key, or is damaged.")
	}
	return "openssl signs with the key, and the signature verifies", nil
}
