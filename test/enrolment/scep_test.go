//go:build stack

package enrolment

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const scepChallenge = "4711081547110815"

// scepServer starts micromdm's server with a CA of its own, whose certificate is
// depot/ca.pem, and returns its port.
func scepServer(t *testing.T, d *stack.Desk, options ...string) (port string) {
	t.Helper()
	d.Run("scepserver", "ca", "-init", "-keySize", "2048", "-depot", "depot")
	port = stack.FreePort(t)
	d.Start("scepserver.log", "scepserver", append([]string{"-http-addr", "localhost:" + port, "-depot", "depot", "-debug"}, options...)...)
	d.Eventually("scepserver answers", func() bool { return listens(port) })
	return port
}

// listens reports whether somebody listens at a port of localhost.
func listens(port string) bool {
	connection, err := net.Dial("tcp", "localhost:"+port)
	if err != nil {
		return false
	}
	return connection.Close() == nil
}

// scepCards have keys of every kind: one that signs and decrypts, and others.
func scepCards(t *testing.T, d *stack.Desk) (keys [][2]string) {
	pivCard(t, d, "PIV.9A", "rsa2048")
	d.Run("cardctl", "gen-key", "--key", "PIV.9C", "--algorithm", "p256")
	d.Run("cardctl", "sim", "create", "other")
	d.Setenv("CARDCTL_ADMIN_PIN", "12345678") // from the factory
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.1", "--algorithm", "rsa2048", "--reader", "sim:other")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", "p256", "--reader", "sim:other")
	return [][2]string{{"PIV.9A", "sim:card"}, {"PIV.9C", "sim:card"}, {"OPENPGP.1", "sim:other"}, {"OPENPGP.3", "sim:other"}}
}

// TestSCEP has micromdm's server certify keys, with the challenge password, and renew the
// certificate of the one that can.
func TestSCEP(t *testing.T) {
	d := stack.NewDesk(t)
	keys := scepCards(t, d)
	port := scepServer(t, d, "-challenge", scepChallenge, "-allowrenew", "0")
	at := "scep+http://localhost:" + port + "/scep"
	d.Setenv("CARDCTL_ISSUER_SECRET", "another")
	fails(t, d, "failed", []string{"badRequest"}, "enroll", "--key", "PIV.9A", "--subject", "CN=Floppy Head", "--issuer", at, "--issuer-ca", "depot/ca.pem")
	fails(t, d, "usage", []string{"is not known"}, "enroll", "--key", "PIV.9A", "--subject", "CN=Floppy Head", "--issuer", at)
	fails(t, d, "mismatch", []string{"does not chain"}, "enroll", "--key", "PIV.9A", "--subject", "CN=Floppy Head", "--issuer", at, "--issuer-ca", "maker.pem")
	d.Setenv("CARDCTL_ISSUER_SECRET", scepChallenge)
	for _, key := range keys {
		d.Run("cardctl", "enroll", "--key", key[0], "--reader", key[1], "--subject", "CN=Floppy "+key[0], "--email", "floppy@example.com",
			"--issuer", at, "--issuer-ca", "depot/ca.pem")
		path := d.Write(key[0]+".pem", d.Run("cardctl", "export-cert", "--key", key[0], "--reader", key[1]), 0o600)
		d.Run("openssl", "verify", "-x509_strict", "-CAfile", "depot/ca.pem", path)
		if made := stack.ParseCertificate(t, d.Read(key[0]+".pem")); made.Subject.CommonName != "Floppy "+key[0] || made.EmailAddresses[0] != "floppy@example.com" {
			t.Errorf("%s: %s", key, made.Subject)
		}
	}
	old := stored(t, d, "PIV.9A")
	d.Run("cardctl", "renew", "--key", "PIV.9A", "--issuer-ca", "depot/ca.pem")
	if made := stored(t, d, "PIV.9A"); made.SerialNumber.Cmp(old.SerialNumber) == 0 || made.Subject.String() != old.Subject.String() {
		t.Errorf("%s %s", made.SerialNumber, made.Subject)
	}
	fails(t, d, "not-supported", []string{"cannot renew"}, "renew", "--key", "PIV.9C", "--issuer-ca", "depot/ca.pem")
	if log := string(d.Read("scepserver.log")); !strings.Contains(log, "RenewalReq") || strings.Count(log, `scep_message_type="PKCSReq`) != len(keys)+1 {
		t.Errorf("%s", log)
	}
	keepsNoChallenge(t, d)
}

// keepsNoChallenge looks for the challenge password in all files but those of the server.
func keepsNoChallenge(t *testing.T, d *stack.Desk) {
	t.Helper()
	err := filepath.WalkDir(d.Path("."), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.Contains(path, "scepserver") {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), scepChallenge) {
			t.Errorf("%s has the challenge password", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDocumentedSCEP types what the document says about SCEP.
func TestDocumentedSCEP(t *testing.T) {
	d := stack.NewDesk(t)
	pivCard(t, d, "PIV.9A", "rsa2048")
	port := scepServer(t, d, "-allowrenew", "0") // renewals with the certificate alone
	d.Setenv("CHALLENGE", scepChallenge)
	words := strings.NewReplacer("ca.example.com", "localhost:"+port, "ca.pem", "depot/ca.pem")
	t.Log(d.Run("bash", "-euxc", words.Replace(documented(t, "SCEP"))))
}

// TestDocumentedCMP types what the document says about CMP. OpenSSL's server gives the same
// certificate to everybody.
func TestDocumentedCMP(t *testing.T) {
	d := stack.NewDesk(t)
	d.Setenv("CARDCTL_READER", "sim:card")
	d.Setenv("CARDCTL_PIN", stack.UserPIN)
	d.Setenv("CARDCTL_ADMIN_PIN", stack.AdminPIN)
	d.Setenv("SHARED_SECRET", scepChallenge)
	d.Run("cardctl", "sim", "create", "card")
	d.Run("cardctl", "init", "--yes")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3")
	made := d.Authority().Sign(d.Write("me.csr", d.Run("cardctl", "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=Floppy Head"), 0o600))
	certificate, key := d.Authority().Server()
	port := stack.FreePort(t)
	d.Start("cmp.log", "openssl", "cmp", "-config", "", "-port", port, "-rsp_cert", made, "-srv_secret", "pass:"+scepChallenge, "-srv_ref", "desk",
		"-srv_cert", certificate, "-srv_key", key, "-srv_trusted", "ca.pem")
	d.Eventually("the CMP server answers", func() bool { return listens(port) })
	// The certificate of the server is not certified for CMP, so it is named.
	d.Write("named.pem", string(d.Read("ca.pem"))+string(d.Read("server.csr.pem")), 0o600)
	words := strings.NewReplacer("ca.example.com", "localhost:"+port, "ca.pem", "named.pem")
	t.Log(d.Run("bash", "-euxc", words.Replace(documented(t, "CMP"))))
}
