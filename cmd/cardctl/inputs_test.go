//go:build unix

package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// inputs are files as the world makes them, of testdata/inputs: the command that reads
// each, the status that it ends with, and what it prints. key.pem is the key on the card,
// the password of PKCS#12 files is "secret". Their certificates end: that is allowed.
var inputs = []struct {
	file, command string
	exit          int
	says          string // a regular expression
	stored        string // the file with the certificate that is on the card afterwards
}{
	{"negative-serial.pem", "import-cert @", 0, "unusual +its serial number is negative", "negative-serial.pem"},
	{"cn-printable-at.pem", "import-cert @", 0, "unusual +its subject has the character '@' in a PrintableString", "cn-printable-at.pem"},
	{"san-email-utf8.pem", "import-cert @", 0, "unusual +its subjectAltName has other characters than ASCII", "san-email-utf8.pem"},
	{"leaf-brainpool.pem", "import-cert @", 0, "issuer +CN=Root brainpool", "leaf-brainpool.pem"},
	{"der-padded.der", "import-cert @", 0, "unusual +100 bytes follow the certificate", "leaf.pem"},
	{"chain-ca-negative.pem", "import-cert @", 0, "unusual issuer +CN=Root p256,O=Test Oil: its serial number is negative", "leaf.pem"},
	{"chain-brainpool.pem", "import-cert @", 0, "unusual issuer +CN=Root brainpool,O=Test Oil: many programs do not support", "leaf-brainpool.pem"},
	{"ca-negative.pem", "import-cert %/leaf.pem --ca @", 0, "CN=Client plain", "leaf.pem"},
	{"ca.pem", "import-cert %/leaf.pem --ca @", 0, "already the certificate", "leaf.pem"},
	{"ca-brainpool.pem", "import-cert %/leaf-brainpool.pem --ca @", 0, "CN=Client brainpool", "leaf-brainpool.pem"},
	{"utf16.pem", "import-cert @", 0, "CN=Client plain", "leaf.pem"},
	{"indented.pem", "import-cert @", 0, "already the certificate", "leaf.pem"},
	{"p7-as-certificate.pem", "import-cert @", 0, "issuers +1 not stored", "leaf.pem"},
	{"leaf.pem", "import-cert @", 0, "already the certificate", "leaf.pem"},
	{"ch-mixed-ca.pem", "import-cert %/ch-mixed-leaf.pem --ca @", 0, "issuer +CN=CA mixed", "ch-mixed-leaf.pem"},
	{"ch-mixed-leaf.pem", "import-cert @", 0, "already the certificate", "ch-mixed-leaf.pem"},
	{"ch-ca-ku-ca.pem", "import-cert %/ch-ca-ku-leaf.pem --ca @", 8, "CN=CA ca-ku,O=Test Oil may not sign certificates", "ch-mixed-leaf.pem"},
	{"ch-ca-ku-leaf.pem", "import-cert @", 0, "CN=CA ca-ku", "ch-ca-ku-leaf.pem"},
	{"ku-ca.pem", "import-cert %/ku-keyencipherment.pem --ca @", 0, "issuer +CN=Root ku", "ku-keyencipherment.pem"},
	{"ku-keyencipherment.pem", "import-cert @", 0, "already the certificate", "ku-keyencipherment.pem"},
	{"expired.pem", "import-cert @", 0, "EXPIRED", "expired.pem"},
	{"negca.p12", "import-cert @ --password env:SECRET", 8, "CN=softrsa .rsa2048.*CN=Root p256", "expired.pem"},
	{"nss.p12", "import-cert @ --password env:SECRET", 8, "CN=nssuser", "expired.pem"},
	{"nomac.p12", "import-cert @ --password env:SECRET", 8, "CN=softrsa", "expired.pem"},
	{"rsa-unequal-primes.pem", "import-key @ --key OPENPGP.2", 7, "two primes of equal length", ""},
	{"negca.p12", "import-key @ --key OPENPGP.1 --password env:SECRET", 0, "algorithm +rsa2048", ""},
	{"nss.p12", "import-key @ --key OPENPGP.2 --password env:SECRET", 0, "algorithm +rsa2048", ""},
	{"nomac.p12", "import-key @ --key OPENPGP.1 --password env:SECRET", 0, "already the key", ""},
	{"nomac.p12", "import-key @ --key OPENPGP.1 --password env:WRONG", 8, "does not open", ""},
	{"pin-bom.txt", "gen-csr --subject CN=x --pin file:@", 2, "byte-order mark", ""},
	{"pin-2lf.txt", "gen-csr --subject CN=x --pin file:@", 2, "more than one line", ""},
	{"pin-2lines.txt", "gen-csr --subject CN=x --pin file:@", 2, "more than one line", ""},
	{"ec-brainpool.pem", "import-key @ --key OPENPGP.2", 7, "the curve brainpoolP256r1 is not supported", ""},
	{"key.pem", "import-key @", 0, "already the key", ""},
	{"shim.c", "import-cert @", 8, "text that is not PEM", "expired.pem"}, // as a module it is tried by package p11
}

func TestInputsOfTheWorld(t *testing.T) {
	const from = "testdata/inputs"
	d := newDesk(t, "SECRET=secret", "WRONG=guess")
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	unread := map[string]bool{}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		d.writeFile(f.Name(), data)
		unread[f.Name()] = true
	}
	d.must("init", "--yes")
	d.must(d.words("import-key --key OPENPGP.3 $W/key.pem")...)
	for _, test := range inputs {
		delete(unread, test.file)
		line := strings.NewReplacer("@", "$W/"+test.file, "%", "$W").Replace(test.command)
		if !strings.Contains(line, "--key") {
			line += " --key OPENPGP.3"
		}
		if strings.HasPrefix(line, "import-cert") {
			line += " --allow-expired --yes"
		}
		r := d.run(t.Context(), d.words(line))
		if r.exit != test.exit || !regexp.MustCompile(test.says).MatchString(strings.Join(strings.Fields(r.stdout+r.stderr), " ")) {
			t.Errorf("%s: exit %d, want %d and %q\n%s%s", line, r.exit, test.exit, test.says, r.stdout, r.stderr)
		}
		if test.stored != "" {
			got, _ := pem.Decode([]byte(d.must("export-cert", "--key", "OPENPGP.3").stdout))
			text, err := os.ReadFile(filepath.Join(from, test.stored))
			if err != nil {
				t.Fatal(err)
			}
			if want, _ := pem.Decode(text); got == nil || !bytes.Equal(got.Bytes, want.Bytes) {
				t.Errorf("%s: the card does not hold %s", line, test.stored)
			}
		}
	}
	for file := range unread {
		t.Errorf("nothing reads %s", file)
	}
	if got := d.must("info", "-o", "json").stdout; strings.Count(got, `"triesLeft":3`) != 2 {
		t.Errorf("a try was used up:\n%s", got)
	}
}
