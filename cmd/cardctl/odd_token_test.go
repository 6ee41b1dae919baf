//go:build cgo && unix

package main

import (
	"strings"
	"testing"
)

// TestKeysOnOtherCurvesOnAToken go from the key to a certificate in use, or are refused with
// the name of their curve. OpenSSL judges.
func TestKeysOnOtherCurvesOnAToken(t *testing.T) {
	d := namedDesk(t)
	d.must("openssl", "genpkey", "-algorithm", "ED448", "-out", d.path("ed448.pem"))
	d.must("softhsm2-util", "--import", d.path("ed448.pem"), "--token", "ours", "--label", "Ed448", "--id", "01", "--pin", tokenPIN)
	for id, curve := range map[string]string{"02": "brainpoolP256r1", "03": "brainpoolP384r1", "04": "brainpoolP512r1", "05": "secp256k1", "06": "brainpoolP320r1"} {
		d.tool("--keypairgen", "--key-type", "EC:"+curve, "--id", id, "--label", curve)
	}
	for _, curve := range []string{"Ed448", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "secp256k1"} {
		key, file := ours+";object="+curve, d.path(curve+".pem")
		d.cardctl("gen-csr", "--key", key, "--pin", "env:TOKEN_PIN", "--subject", "CN="+curve, "--self-signed", "--days", "3", "--out", file)
		d.must("openssl", "verify", "-check_ss_sig", "-CAfile", file, file)
		d.cardctl("import-cert", "--key", key, "--pin", "env:TOKEN_PIN", file)
		d.cardctl("smoke-test", "--key", key, "--pin", "env:TOKEN_PIN")
	}
	for _, c := range d.info().Certificates {
		if !c.MatchesKey {
			t.Errorf("%+v", c)
		}
	}
	r := d.run("cardctl", "gen-csr", "--key", ours+";object=brainpoolP320r1", "--pin", "env:TOKEN_PIN", "--subject", "CN=x", "--self-signed", "--days", "3")
	if r.exit != 7 || !strings.Contains(r.stderr, "brainpoolP320r1") {
		t.Errorf("%+v", r)
	}
}

// TestACertificateWithoutAKey is on tokens of CAs, and beside a key that was replaced.
// Whether it has a key shows after a login, which info has none of.
func TestACertificateWithoutAKey(t *testing.T) {
	d := namedDesk(t)
	d.must("openssl", "genpkey", "-algorithm", "ED25519", "-out", d.path("lost.key"))
	d.must("openssl", "pkey", "-in", d.path("lost.key"), "-pubout", "-out", d.path("lost.pub"))
	d.must("openssl", "x509", "-new", "-force_pubkey", d.path("lost.pub"), "-subj", "/CN=lost", "-days", "7",
		"-CA", d.path("ca.pem"), "-CAkey", d.path("ca.key"), "-outform", "DER", "-out", d.path("lost.der"))
	d.tool("--write-object", d.path("lost.der"), "--type", "cert", "--id", "77", "--label", "lonely")
	info := d.info()
	if len(info.Keys) != 0 || len(info.Certificates) != 1 || info.Certificates[0].MatchesKey || !info.Certificates[0].KeyUnknown {
		t.Errorf("%+v", info)
	}
	d.cardctl("export-cert", "--key", ours+";object=lonely")
	if r := d.run("cardctl", "gen-csr", "--key", ours+";object=lonely", "--pin", "env:TOKEN_PIN", "--subject", "CN=x"); r.exit != 3 {
		t.Errorf("%+v", r)
	}
}

// TestANewKeyHasAnID: a key that is made under an empty ID would not be found by it again.
func TestANewKeyHasAnID(t *testing.T) {
	d := namedDesk(t)
	d.must("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", d.path("key.pem"))
	for _, args := range [][]string{{"gen-key"}, {"import-key", d.path("key.pem")}} {
		r := d.run("cardctl", append(args, "--key", ours+";id=", "--pin", "env:TOKEN_PIN")...)
		if r.exit != 2 || !strings.Contains(r.stderr, "the ID of the new key is empty") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if keys := d.info().Keys; len(keys) != 0 {
		t.Errorf("%+v", keys)
	}
}
