//go:build cgo && unix

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/test/softhsm"
)

// namedDesk is a desk with the token "ours", and the CA of ca.pem.
func namedDesk(t *testing.T) *tokenDesk {
	d := newTokenDesk(t)
	d.token("ours")
	d.must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=CA",
		"-keyout", d.path("ca.key"), "-out", d.path("ca.pem"), "-addext", "keyUsage=critical,keyCertSign")
	return d
}

func (d *tokenDesk) path(name string) string { return filepath.Join(d.dir, name) }

// tool runs pkcs11-tool on the token.
func (d *tokenDesk) tool(args ...string) string {
	d.t.Helper()
	r := d.run("pkcs11-tool", append([]string{"--module", d.softhsm(), "--token-label", "ours", "--login", "--pin", tokenPIN}, args...)...)
	if r.exit != 0 {
		d.t.Fatalf("pkcs11-tool %q: %s%s", args, r.stdout, r.stderr)
	}
	return r.stdout
}

// certify has a certificate issued for the key, into a file, in PEM and DER.
func (d *tokenDesk) certify(key, file string) {
	d.t.Helper()
	d.cardctl("export-key", "--key", key, "--pin", "env:TOKEN_PIN", "--out", d.path(file+".pub"))
	d.must("openssl", "x509", "-new", "-force_pubkey", d.path(file+".pub"), "-subj", "/CN="+file, "-days", "7",
		"-CA", d.path("ca.pem"), "-CAkey", d.path("ca.key"), "-out", d.path(file+".pem"))
	d.must("openssl", "x509", "-in", d.path(file+".pem"), "-outform", "DER", "-out", d.path(file+".der"))
}

func (d *tokenDesk) cardctl(args ...string) string {
	d.t.Helper()
	r := d.run("cardctl", args...)
	if r.exit != 0 {
		d.t.Fatalf("cardctl %q: %s%s", args, r.stdout, r.stderr)
	}
	return r.stdout
}

func (d *tokenDesk) info() (info cardInfo) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(d.cardctl("info", "--app", "pkcs11", "--token", "ours", "-o", "json")), &info); err != nil {
		d.t.Fatal(err)
	}
	return info
}

const ours = "pkcs11:token=ours"

// TestCertificateAstray has the certificate of a key under another ID: it is told,
// used, and put right.
func TestCertificateAstray(t *testing.T) {
	d := namedDesk(t)
	d.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "45", "--label", "vpn")
	d.certify(ours+";id=%45", "me")
	d.tool("--write-object", d.path("me.der"), "--type", "cert", "--id", "99", "--label", "strange")
	info := d.info()
	if len(info.Keys) != 1 || len(info.Certificates) != 1 || !info.Certificates[0].MatchesKey || !strings.Contains(info.Certificates[0].Astray, "99") ||
		info.Certificates[0].Ref != info.Keys[0].Ref {
		t.Errorf("not one key with its certificate: %+v", info)
	}
	if r := d.run("cardctl", "smoke-test", "--key", ours+";id=%45", "--pin", "env:TOKEN_PIN"); r.exit != 0 || !strings.Contains(r.stdout, "Import one") {
		t.Errorf("%s%s", r.stdout, r.stderr)
	}
	if pem := d.cardctl("export-cert", "--key", ours+";id=%45"); !strings.Contains(pem, "BEGIN CERTIFICATE") {
		t.Errorf("%s", pem)
	}
	done := d.cardctl("import-cert", "--key", ours+";id=%45", d.path("me.pem"), "--pin", "env:TOKEN_PIN")
	if !strings.Contains(done, "was 99, and is now that of its key, 45") {
		t.Errorf("%s", done)
	}
	if listed := d.tool("--list-objects", "--type", "cert"); strings.Count(listed, "Certificate Object") != 1 || !strings.Contains(listed, "ID:         45") {
		t.Errorf("%s", listed)
	}
	if info := d.info(); len(info.Certificates) != 1 || info.Certificates[0].Astray != "" {
		t.Errorf("%+v", info.Certificates)
	}
	// An issuer that comes later is added, and nothing is done where nothing is missing.
	chain := d.path("chain.pem")
	both := readFile(t, d.path("me.pem")) + readFile(t, d.path("ca.pem"))
	if err := os.WriteFile(chain, []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	if done := d.cardctl("import-cert", "--key", ours+";id=%45", chain, "--pin", "env:TOKEN_PIN"); !strings.Contains(done, "already") || !strings.Contains(done, "issuers") {
		t.Errorf("%s", done)
	}
	if listed := d.tool("--list-objects", "--type", "cert"); strings.Count(listed, "Certificate Object") != 2 {
		t.Errorf("%s", listed)
	}
	d.cardctl("import-cert", "--key", ours+";id=%45", chain, "--no-input") // needs no PIN
}

// TestKeysAreOfferedOnce has a blank slot beside the token, as SoftHSM always has.
func TestKeysAreOfferedOnce(t *testing.T) {
	d := namedDesk(t)
	d.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "45", "--label", "vpn")
	if offered := d.cardctl("__complete", "export-key", "--key", "pkcs11:"); strings.Count(offered, "id=%45") != 1 {
		t.Errorf("%s", offered)
	}
}

// TestDividedKey has a key whose public half has another ID than the private one, as a command
// leaves it that was interrupted when the private one had got that of the public key: it is
// one key, it signs, and import-cert gives both halves the same.
func TestDividedKey(t *testing.T) {
	d := namedDesk(t)
	key := ours + ";object=vpn"
	d.cardctl("gen-key", "--key", key, "--algorithm", "p256", "--pin", "env:TOKEN_PIN")
	_, listed, _ := strings.Cut(d.tool("--list-objects", "--type", "pubkey"), "ID:")
	id := strings.Fields(listed)[0]
	d.tool("--set-id", strings.Repeat("47", 20), "--type", "pubkey", "--id", id)
	if r := d.run("cardctl", "gen-csr", "--key", key, "--subject", "CN=me", "--pin", "env:TOKEN_PIN", "--out", d.path("me.csr")); r.exit != 0 {
		t.Fatalf("%s", r.stderr)
	}
	d.certify(key, "me")
	if done := d.cardctl("import-cert", "--key", key, d.path("me.pem"), "--pin", "env:TOKEN_PIN"); !strings.Contains(done, "The public half of the key had another ID") {
		t.Errorf("%s", done)
	}
	if listed := d.tool("--list-objects"); len(regexp.MustCompile(`\bID: +`+id).FindAllString(listed, -1)) != 3 {
		t.Errorf("not the same ID of private key, public key and certificate:\n%s", listed)
	}
	if info := d.info(); len(info.Keys) != 1 || len(info.Certificates) != 1 || info.Certificates[0].Astray != "" {
		t.Errorf("%+v", info)
	}
	d.cardctl("import-cert", "--key", key, d.path("me.pem"), "--no-input") // needs no PIN
}

// TestKeyWithoutID has a key that no program finds by its certificate.
func TestKeyWithoutID(t *testing.T) {
	d := namedDesk(t)
	d.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "vpn")
	key := ours + ";object=vpn"
	d.certify(key, "me")
	done := d.cardctl("import-cert", "--key", key, d.path("me.pem"), "--pin", "env:TOKEN_PIN")
	if !strings.Contains(done, "The key had no ID") {
		t.Errorf("%s", done)
	}
	ids := map[string]bool{}
	for _, line := range strings.Split(d.tool("--list-objects"), "\n") {
		if id, found := strings.CutPrefix(line, "  ID:         "); found {
			ids[id] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("public key, private key and certificate have the IDs %v", ids)
	}
	if r := d.cardctl("smoke-test", "--key", key, "--pin", "env:TOKEN_PIN", "--tls"); !strings.Contains(r, "CN=me") {
		t.Errorf("%s", r)
	}
}

// TestEveryPrintedURI takes each URI that info prints back: keys with odd labels, with
// two certificates, without a public half, without any name.
func TestEveryPrintedURI(t *testing.T) {
	d := namedDesk(t)
	d.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "Schl\xfcssel")
	d.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "a;b,c%d?e/f g\"h")
	d.tool("--keypairgen", "--key-type", "EC:prime256v1")
	d.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "04", "--label", "two")
	d.tool("--keypairgen", "--key-type", "rsa:2048", "--id", "05", "--label", "half")
	d.certify(ours+";id=%04", "one")
	d.tool("--write-object", d.path("one.der"), "--type", "cert", "--id", "04", "--label", "one")
	d.certify(ours+";id=%04", "two")
	d.tool("--write-object", d.path("two.der"), "--type", "cert", "--id", "04", "--label", "two")
	d.tool("--delete-object", "--type", "pubkey", "--id", "05")
	info := d.info()
	if len(info.Keys) != 4 || len(info.Certificates) != 2 {
		t.Errorf("%d keys, %d certificates: %+v", len(info.Keys), len(info.Certificates), info)
	}
	for _, key := range info.Keys {
		if pem := d.cardctl("export-key", "--key", key.Ref); pem != key.PublicKey {
			t.Errorf("%s is another key", key.Ref)
		}
		d.cardctl("gen-csr", "--key", key.Ref, "--subject", "CN=me", "--pin", "env:TOKEN_PIN")
	}
	d.cardctl("gen-csr", "--key", ours+";id=%05", "--subject", "CN=me", "--pin", "env:TOKEN_PIN") // RSA tells its public half
	d.cardctl("gen-csr", "--key", ours+";object=Schl%FCssel", "--subject", "CN=me", "--pin", "env:TOKEN_PIN")
}

// TestIDInHex offers the key whose ID was written in hex, and not a new one.
func TestIDInHex(t *testing.T) {
	d := namedDesk(t)
	d.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "45", "--label", "vpn")
	for _, id := range []string{"45", "0x45"} {
		r := d.run("cardctl", "export-key", "--key", ours+";id="+id)
		if r.exit != 3 || !strings.Contains(r.stderr, "id=%45") || strings.Contains(r.stderr, "gen-key") {
			t.Errorf("%d: %s", r.exit, r.stderr)
		}
	}
}

// TestPINSourceOfAURI takes the file that a URI names under the rules of --pin file:.
func TestPINSourceOfAURI(t *testing.T) {
	d := namedDesk(t)
	d.tool("--keypairgen", "--key-type", "EC:prime256v1", "--id", "45", "--label", "vpn")
	write := func(name, pin string, mode os.FileMode) string {
		if err := os.WriteFile(d.path(name), []byte(pin), mode); err != nil {
			t.Fatal(err)
		}
		return d.path(name)
	}
	right, wrong, open := write("right", tokenPIN+"\n", 0o600), write("wrong", "13579135\n", 0o600), write("open", tokenPIN, 0o644)
	for source, want := range map[string]int{
		"file:" + right: 0, "file://" + right: 0, right: 0, "file:" + open: 2, "file:/nowhere": 2, "|cat%20" + right: 2, "https://example.com/pin": 2,
	} {
		r := d.run("cardctl", "gen-csr", "--key", ours+";id=%45?pin-source="+source, "--subject", "CN=me", "--no-input")
		if r.exit != want || strings.Contains(r.stderr, tokenPIN) {
			t.Errorf("%s: %d\n%s", source, r.exit, r.stderr)
		}
	}
	for args, want := range map[string]int{"": 4, "--pin env:TOKEN_PIN": 0} { // a flag goes before
		r := d.run("cardctl", append([]string{"gen-csr", "--key", ours + ";id=%45?pin-source=file:" + wrong, "--subject", "CN=me", "--no-input"}, strings.Fields(args)...)...)
		if r.exit != want {
			t.Errorf("%q: %d\n%s", args, r.exit, r.stderr)
		}
	}
	d.cardctl("smoke-test", "--key", ours+";id=%45?pin-source=file:"+right, "--no-input")
}

// TestModulesOfP11Kit goes through p11-kit's proxy and its client, which make another
// instance of themselves for every C_GetFunctionList.
func TestModulesOfP11Kit(t *testing.T) {
	d := namedDesk(t)
	kit := d.path("p11-kit/pkcs11/modules")
	if err := os.MkdirAll(kit, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", d.dir)
	t.Setenv("XDG_CONFIG_HOME", d.path("p11-kit"))
	t.Setenv("XDG_RUNTIME_DIR", d.dir)
	for file, text := range map[string]string{"../pkcs11.conf": "user-config: only\n", "softhsm2.module": "module: " + d.softhsm() + "\n"} {
		if err := os.WriteFile(filepath.Join(kit, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := exec.Command("p11-kit", "server", "-f", "--provider", d.softhsm(), "--name", d.path("socket"), "pkcs11:token=ours")
	server.Env = append(os.Environ(), softhsm.Variable+"="+d.config)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	t.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+d.path("socket"))
	for range 100 {
		if _, err := os.Stat(d.path("socket")); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, module := range []string{"p11-kit-proxy.so", "p11-kit-client.so"} {
		key := ours + ";object=" + module
		for _, args := range [][]string{
			{"gen-key", "--key", key, "--algorithm", "p256"}, {"gen-csr", "--key", key, "--subject", "CN=me"}, {"smoke-test", "--key", key},
		} {
			r := d.run("cardctl", append(args, "--module", module, "--pin", "env:TOKEN_PIN", "--timeout", "20s")...)
			if r.exit != 0 {
				t.Errorf("%s: %v: %d %s%s", module, args, r.exit, r.stdout, r.stderr)
			}
		}
	}
}

func (d *tokenDesk) softhsm() string {
	d.t.Helper()
	module, err := p11.DefaultPlaces().Locate("softhsm2")
	if err != nil {
		d.t.Fatal(err)
	}
	return module
}
