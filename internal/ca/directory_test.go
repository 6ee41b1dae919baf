package ca

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// status is what openssl ca says of a certificate, whatever its own status is.
func status(t *testing.T, pki, serial string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", "ca", "-config", "openssl.cnf", "-status", serial)
	cmd.Dir = pki
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func program(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// What was exported goes on with openssl ca and easy-rsa, and what they made of it is
// imported again.
func TestOthersGoOn(t *testing.T) {
	c := newCA(t, InitOptions{Subject: "/C=AT/O=Example, Ltd/CN=Desk CA"})
	good, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=good"}), Profile: profile(t, "client")})
	bad, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "/C=AT/O=Jörg/CN=bad"}), Profile: profile(t, "client")})
	held, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=held"}), Profile: profile(t, "client")})
	now := time.Now()
	for serial, reason := range map[string]string{bad.Serial: "superseded", held.Serial: "certificateHold"} {
		if _, err := c.Revoke(t.Context(), atDesk(), serial, reason, now); err != nil {
			t.Fatal(err)
		}
	}
	pki := filepath.Join(t.TempDir(), "pki")
	exported, err := c.HandOver(t.Context(), pki, now)
	if err != nil || exported.Certificates != 3 || !exported.Key {
		t.Fatalf("%+v, %v", exported, err)
	}
	for serial, want := range map[string]string{good.Serial: "Valid (V)", bad.Serial: "Revoked (R)", held.Serial: "Revoked (R)"} {
		if said := status(t, pki, serial); !strings.Contains(said, want) {
			t.Errorf("%s: %s", serial, said)
		}
	}
	environment := []string{"EASYRSA_PKI=" + pki, "EASYRSA_BATCH=1", "EASYRSA_PASSIN=pass:" + password, "EASYRSA_PASSOUT=pass:" + password}
	easyrsa := func(args ...string) string {
		t.Helper()
		return program(t, filepath.Dir(pki), environment, "/usr/share/easy-rsa/easyrsa", args...)
	}
	if shown := easyrsa("show-revoke"); !strings.Contains(shown, bad.Serial) || !strings.Contains(shown, held.Serial) {
		t.Errorf("show-revoke: %s", shown)
	}
	easyrsa("gen-crl")
	easyrsa("gen-req", "later", "nopass")
	easyrsa("sign-req", "client", "later")
	easyrsa("show-expire")

	dir := filepath.Join(t.TempDir(), "again")
	taken, err := TakeOver(t.Context(), atDesk().Ask, dir, pki)
	if err != nil || taken.Taken != 4 || len(taken.WithoutCertificate) > 0 || taken.KeyStays != "" {
		t.Fatalf("%+v, %v", taken, err)
	}
	again, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }() // what counts is read
	list, err := again.List(t.Context(), 0, now)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]State{}
	for _, e := range list {
		states[e.Serial] = e.State
	}
	if states[good.Serial] != Valid || states[bad.Serial] != Revoked || states[held.Serial] != Held || len(states) != 4 {
		t.Errorf("%v", states)
	}
	before, err := c.lastCRL(t.Context(), anyAuthority)
	if err != nil || before != nil {
		t.Fatalf("%+v, %v", before, err)
	}
	crl, err := again.SignCRL(t.Context(), nil, atDesk(), 7, now)
	if err != nil || crl.Revoked != 2 || crl.Number <= now.Unix() {
		t.Errorf("%+v, %v", crl, err)
	}
	issue(t, again, Order{Request: request(t, csr.Options{Subject: "CN=new"}), Profile: profile(t, "client")})
}

// A directory of easy-rsa is taken with all its lines; without a password the key stays.
func TestTakeOverOfEasyRSA(t *testing.T) {
	pki := filepath.Join(t.TempDir(), "pki")
	environment := []string{"EASYRSA_PKI=" + pki, "EASYRSA_BATCH=1", "EASYRSA_ALGO=ec"}
	for _, line := range []string{
		"init-pki", "--req-cn=Office build-ca nopass", "build-client-full a nopass", "build-server-full b nopass", "build-client-full c nopass",
		"revoke a keyCompromise", "gen-crl",
	} {
		program(t, filepath.Dir(pki), environment, "/usr/share/easy-rsa/easyrsa", strings.Fields(line)...)
	}
	from := filepath.Dir(pki)
	none := func(context.Context, secret.Request) (*secret.Bytes, error) { return nil, nil }
	stays, err := TakeOver(t.Context(), none, filepath.Join(t.TempDir(), "ca"), from)
	if err != nil || stays.Taken != 3 || stays.KeyStays != filepath.Join(pki, "private/ca.key") || len(stays.WithoutCertificate) > 0 {
		t.Errorf("%+v, %v", stays, err)
	}
	dir := filepath.Join(t.TempDir(), "ca")
	if _, err := TakeOver(t.Context(), atDesk().Ask, dir, from); err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // what counts is read
	issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=new"}), Profile: profile(t, "client")})
	list, err := c.List(t.Context(), 0, time.Now())
	if err != nil || len(list) != 4 {
		t.Errorf("%+v, %v", list, err)
	}
	// Two that are valid name the serial number of the certificate of the CA.
	renewed, err := c.Renew(t.Context(), nil, atDesk(), RenewOptions{}, time.Now())
	if err != nil || renewed.Astray != 2 {
		t.Fatalf("%+v, %v", renewed, err)
	}
	made, both := filepath.Join(pki, "issued/b.crt"), readText(t, filepath.Join(dir, CertificateFile))+readText(t, renewed.FormerFile)
	program(t, dir, nil, "openssl", "verify", "-CAfile", file(t, "both.pem", []byte(both)), made)
}

// TestAnEndedCAIsRenewed gives a CA another key after its certificate has ended: nobody
// trusts what the former key signs, so it is not asked for.
func TestAnEndedCAIsRenewed(t *testing.T) {
	c := newCA(t, InitOptions{Days: 1})
	renewed, err := c.Renew(t.Context(), nil, atDesk(), RenewOptions{NewKey: true}, time.Now().AddDate(0, 0, 2))
	if err != nil || renewed.NewWithOld+renewed.OldWithNew != "" {
		t.Errorf("%+v, %v", renewed, err)
	}
}

// TestRSAPSSIsOfRSAKeys changes the key of a CA that pads with PSS.
func TestRSAPSSIsOfRSAKeys(t *testing.T) {
	c := newCA(t, InitOptions{Algorithm: "rsa2048", PSS: true})
	o := RenewOptions{NewKey: true, Algorithm: "p256", Former: &Parent{Access: atDesk()}}
	if _, err := c.Renew(t.Context(), nil, atDesk(), o, time.Now()); err != nil {
		t.Fatal(err)
	}
	issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=new"}), Profile: profile(t, "client")})
	if _, err := c.SignCRLs(t.Context(), nil, atDesk(), o.Former, 1, time.Now()); err != nil {
		t.Error(err)
	}
}

// TestAsLongAsBefore renews a CA below another one.
func TestAsLongAsBefore(t *testing.T) {
	above := newCA(t, InitOptions{})
	parent := &Parent{Directory: above.dir, Access: atDesk()}
	c := newCA(t, InitOptions{Subject: "CN=Below", Days: 99, Parent: parent})
	now := time.Now()
	renewed, err := c.Renew(t.Context(), nil, atDesk(), RenewOptions{Parent: parent}, now)
	if days := renewed.NotAfter.Sub(now).Hours() / 24; err != nil || days < 98 || days > 100 {
		t.Errorf("%v days, %v", days, err)
	}
}

func TestTakeOverRefuses(t *testing.T) {
	c, other := newCA(t, InitOptions{}), newCA(t, InitOptions{})
	_, foreign := issue(t, other, Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")})
	pki := filepath.Join(t.TempDir(), "pki")
	if _, err := c.HandOver(t.Context(), pki, time.Now()); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]map[string]string{
		"ine 1":              {"index.txt": "V\n"},
		"status":             {"index.txt": "X\t300101000000Z\t\t01\tunknown\t/CN=a\n"},
		"not a time":         {"index.txt": "V\tsoon\t\t01\tunknown\t/CN=a\n"},
		"is not a reason":    {"index.txt": "R\t300101000000Z\t290101000000Z,boredom\t01\tunknown\t/CN=a\n"},
		"number of a":        {"crlnumber": "x"},
		"not of this":        {"index.txt": "V\t300101000000Z\t\t05\tunknown\t/CN=a\n", "certs_by_serial/05.pem": string(csr.PEMCertificate(foreign.Raw))},
		"UNIQUE":             {"index.txt": strings.Repeat("V\t300101000000Z\t\t01\tunknown\t/CN=a\n", 2)},
		"has no certificate": {"index.txt": "V\t300101000000Z\t\t05\tunknown\t/CN=a\n", "certs_by_serial/05.pem": "none"},
		"not the key":        {"private/ca.key": readText(t, filepath.Join(other.dir, keyFile))},
	} {
		copied := filepath.Join(t.TempDir(), "pki")
		if err := os.CopyFS(copied, os.DirFS(pki)); err != nil {
			t.Fatal(err)
		}
		for name, content := range change {
			if err := os.WriteFile(filepath.Join(copied, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		dir := filepath.Join(t.TempDir(), "ca")
		if _, err := TakeOver(t.Context(), atDesk().Ask, dir, copied); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something is left", what)
		}
	}
	if _, err := TakeOver(t.Context(), atDesk().Ask, filepath.Join(t.TempDir(), "ca"), t.TempDir()); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
	check(t, os.Remove(filepath.Join(pki, "index.txt")))
	if _, err := TakeOver(t.Context(), atDesk().Ask, filepath.Join(t.TempDir(), "ca"), pki); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What was issued since a backup is added once it is restored.
func TestAdd(t *testing.T) {
	c, other := newCA(t, InitOptions{}), newCA(t, InitOptions{})
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := c.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	issued, _ := issue(t, c, Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")})
	made, err := cert.Parse(issued.DER)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.dir, databaseFile), []byte(readText(t, backup)), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(c.dir, databaseFile+"-wal")) // closing may have removed it
	restored, err := Open(t.Context(), c.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = restored.Close() }() // what counts is read
	for i, want := range []Imported{{Taken: 1}, {Known: 1}} {
		if got, err := restored.Add(t.Context(), []*cert.Certificate{made}); err != nil || got.Taken != want.Taken || got.Known != want.Known {
			t.Errorf("%d: %+v, %v", i, got, err)
		}
	}
	if _, err := other.Add(t.Context(), []*cert.Certificate{made}); !problem.Is(err, problem.Mismatch) {
		t.Errorf("of another CA: %v", err)
	}
	_, err = restored.db.ExecContext(t.Context(), "UPDATE certificates SET der = x'3000'")
	check(t, err)
	if _, err := restored.Add(t.Context(), []*cert.Certificate{made}); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "another certificate") {
		t.Errorf("another one with the serial number: %v", err)
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add("V\t300101000000Z\t\t01\tunknown\t/CN=a\n")
	f.Add("R\t20500101000000Z\t290101000000Z,CAkeyTime,20290101000000Z\t00A1\tunknown\t/CN=a\r\n\n# comment\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := parseIndex(text)
		if err != nil {
			return
		}
		again := ""
		for _, line := range lines {
			again += line.String() + "\n"
		}
		if read, err := parseIndex(again); err != nil || len(read) != len(lines) {
			t.Errorf("%q becomes %q: %v", text, again, err)
		}
	})
}
