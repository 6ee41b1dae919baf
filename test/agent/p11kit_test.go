//go:build stack

package agent_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/p11kit"
	"github.com/cardctl/cardctl/test/softtoken"
	"github.com/cardctl/cardctl/test/stack"
)

// module is what programs load.
const module = stack.AgentModule

// p11 is a desk whose programs reach a token with an RSA and an EC key.
type p11 struct {
	*stack.Desk
	token *softtoken.Token
	cards *softtoken.Desk
	rsa   *softtoken.Key
	ec    *softtoken.Key
	ca    issuer
}

// newP11 serves keys on a socket.
func newP11(t *testing.T, o p11kit.Options) p11 {
	t.Helper()
	ca := newIssuer(t)
	d := p11{Desk: stack.NewDesk(t), ca: ca, rsa: rsaKey(t, ca), ec: ecKey(t, ca)}
	d.token = (&softtoken.Token{What: agent.About{
		Number: 1, Kind: "OpenPGP card", Serial: "FFFE12345678", Label: "OpenPGP card (User PIN)",
		Maker: "Test", Model: "soft", Reader: "Reader 00 00", MinPIN: 6, MaxPIN: 32,
	}}).With(d.rsa, d.ec)
	d.cards = softtoken.New(d.token)

	path := d.Path("socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
	})
	shared := p11kit.NewCards(d.cards, o)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if err := p11kit.Serve(ctx, conn, shared, agent.Client{Door: "p11"}); err != nil && ctx.Err() == nil {
					t.Errorf("a client: %v", err)
				}
			}()
		}
	}()
	d.Setenv("P11_KIT_SERVER_ADDRESS", "unix:path="+path)
	return d
}

func rsaKey(t *testing.T, ca issuer) *softtoken.Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &softtoken.Key{Private: private, What: agent.KeyAbout{
		Ref: "OPENPGP.1", ID: []byte{1}, Label: "Signature key", Public: private.Public(), Certificate: ca.forMail(t, "RSA key", private.Public()),
		Signs: true, Decrypts: true,
	}}
}

func ecKey(t *testing.T, ca issuer) *softtoken.Key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &softtoken.Key{Private: private, What: agent.KeyAbout{
		Ref: "OPENPGP.3", ID: []byte{3}, Label: "Authentication key", Public: private.Public(), Certificate: ca.forMail(t, "EC key", private.Public()),
		Signs: true, Derives: true,
	}}
}

// issuer issues certificates for mail.
type issuer struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	template.Raw = issue(t, template, template, key.Public(), key)
	return issuer{key, template}
}

func (i issuer) forMail(t *testing.T, name string, public crypto.PublicKey) []byte {
	t.Helper()
	return issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, EmailAddresses: []string{"head@example.com"}, BasicConstraintsValid: true,
	}, i.certificate, public, i.key)
}

func issue(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// keys are files with the public keys.
func (d p11) keys(t *testing.T) (files struct{ rsa, ec string }) {
	t.Helper()
	write := func(name string, key crypto.PublicKey) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return d.Write(name, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), 0o600)
	}
	files.rsa, files.ec = write("rsa.pem", d.rsa.What.Public), write("ec.pem", d.ec.What.Public)
	return files
}

// has fails the test unless text has every part.
func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

const everything = "cardctl's PKCS #11 door"

func TestOpenSCTools(t *testing.T) {
	d := newP11(t, p11kit.Options{Version: "1.2.3"})
	has(t, d.Run("pkcs11-tool", "--module", module, "-I", "-L"), "cardctl agent (ver 1.2)", "OpenPGP card (User PIN)", "PIN pad present, rng, token initialized, PIN initialized, readonly",
		"serial num         : FFFE12345678", "pin min/max        : 6/32", "(empty)")
	has(t, d.Run("pkcs11-tool", "--module", module, "-O"), "Certificate Object; type = X.509 cert", "Public Key Object; RSA 2048 bits",
		"Private Key Object; RSA", "Public Key Object; EC  EC_POINT 256 bits", "Private Key Object; EC", "ID:         03")
	out := d.Run("pkcs11-tool", "--module", module, "--test", "--login")
	has(t, out, "SHA256-RSA-PKCS: OK", "RSA-PKCS-OAEP", "No errors")
	if logins, _, _ := d.token.Counts(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	stack.Judged(t, "pkcs11-tool", everything, "lists, signs, verifies, decrypts")
}

func TestAPINIsRefusedUnsent(t *testing.T) {
	d := newP11(t, p11kit.Options{})
	refused := d.Try("pkcs11-tool", "--module", module, "-O", "--login", "--pin", "123456")
	if logins, _, _ := d.token.Counts(); refused.Exit == 0 || logins != 0 {
		t.Errorf("%d logins, %v", logins, refused)
	}
	has(t, refused.Stderr, "CKR_ARGUMENTS_BAD")
}

func TestSignaturesVerify(t *testing.T) {
	d := newP11(t, p11kit.Options{})
	keys := d.keys(t)
	data := d.Write("data", "signed by a card", 0o600)
	d.Run("pkcs11-tool", "--module", module, "--sign", "-m", "SHA256-RSA-PKCS", "--id", "01", "-i", data, "-o", "rsa.sig")
	has(t, d.Run("openssl", "dgst", "-sha256", "-verify", keys.rsa, "-signature", "rsa.sig", data), "Verified OK")
	digest := sha256.Sum256([]byte("signed by a card"))
	d.Write("digest", string(digest[:]), 0o600)
	d.Run("pkcs11-tool", "--module", module, "--sign", "-m", "ECDSA", "--id", "03", "--signature-format", "openssl", "-i", "digest", "-o", "ec.sig")
	has(t, d.Run("openssl", "dgst", "-sha256", "-verify", keys.ec, "-signature", "ec.sig", data), "Verified OK")
	d.Run("pkcs11-tool", "--module", module, "--sign", "-m", "ECDSA-SHA1", "--id", "03", "--signature-format", "openssl", "-i", data, "-o", "ec1.sig")
	has(t, d.Run("openssl", "dgst", "-sha1", "-verify", keys.ec, "-signature", "ec1.sig", data), "Verified OK")
	if _, uses, _ := d.token.Counts(); uses != 3 {
		t.Errorf("the keys were used %d times for 3 signatures", uses)
	}
	d.Run("openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", keys.rsa, "-in", data, "-out", "sealed")
	d.Run("pkcs11-tool", "--module", module, "--decrypt", "-m", "RSA-PKCS", "--id", "01", "-i", "sealed", "-o", "opened")
	if got := string(d.Read("opened")); got != "signed by a card" {
		t.Errorf("decrypted %q", got)
	}
	stack.Judged(t, "openssl", everything, "verifies RSA and ECDSA signatures")
}

func TestGnuTLS(t *testing.T) {
	d := newP11(t, p11kit.Options{})
	const token = "pkcs11:token=OpenPGP%20card%20%28User%20PIN%29"
	out := d.Run("p11tool", "--provider", module, "--list-all", token)
	has(t, out, "id=%01;object=Signature%20key;type=cert", "id=%03;object=Authentication%20key;type=public", "type=private")
	for _, id := range []string{"%01", "%03"} {
		result := d.Try("p11tool", "--provider", module, "--login", "--batch", "--test-sign", token+";id="+id+";type=private")
		has(t, result.Stdout+result.Stderr, "Signing", "ok")
		if result.Exit != 0 {
			t.Error(result)
		}
	}
	stack.Judged(t, "p11tool", everything, "lists and signs")
}

func TestOpenSSH(t *testing.T) {
	d := newP11(t, p11kit.Options{})
	keys := d.Run("ssh-keygen", "-D", module)
	has(t, keys, "ssh-rsa ", "ecdsa-sha2-nistp256 ")
	d.Write("keys.pub", keys, 0o600)
	d.Write("data", "signed by a card", 0o600)
	d.Write("ask", "#!/bin/sh\necho\n", 0o700)
	d.Setenv("SSH_ASKPASS", d.Path("ask"))
	d.Setenv("SSH_ASKPASS_REQUIRE", "force")
	d.Setenv("SSH_AUTH_SOCK", d.Path("ssh"))
	d.Start("ssh-agent.log", "ssh-agent", "-D", "-a", d.Path("ssh"))
	d.Eventually("ssh-agent listens", func() bool { return d.Try("ssh-add", "-l").Exit == 1 })
	d.Run("ssh-add", "-s", module)
	signers := ""
	for i, key := range strings.Split(strings.TrimSpace(keys), "\n") {
		signers += "me " + key + "\n"
		public := d.Write(fmt.Sprintf("%d.pub", i), key+"\n", 0o600)
		d.Write("signers", signers, 0o600)
		d.Run("ssh-keygen", "-Y", "sign", "-f", public, "-n", "file", "data")
		has(t, d.RunInput("signed by a card", "ssh-keygen", "-Y", "verify", "-f", d.Path("signers"), "-I", "me", "-n", "file", "-s", d.Path("data.sig")), "Good")
		d.Run("rm", "data.sig")
	}
	if _, uses, _ := d.token.Counts(); uses != 2 {
		t.Errorf("the keys were used %d times for 2 signatures", uses)
	}
	stack.Judged(t, "OpenSSH", everything, "lists and signs")
}

func TestNSS(t *testing.T) {
	d := newP11(t, p11kit.Options{})
	d.Run("mkdir", "nss")
	d.Run("certutil", "-N", "-d", "sql:nss", "--empty-password")
	d.Run("modutil", "-dbdir", "sql:nss", "-force", "-add", "agent", "-libfile", module)
	// modutil fails at a slot without a token, with every module.
	has(t, d.Try("modutil", "-dbdir", "sql:nss", "-list", "agent").Stdout, "OpenPGP card (User PIN)", "Token Serial Number: FFFE12345678")
	has(t, d.Run("certutil", "-L", "-d", "sql:nss", "-h", "all"), "OpenPGP card (User PIN):Authentication key")
	out := d.Run("certutil", "-K", "-d", "sql:nss", "-h", "OpenPGP card (User PIN)")
	has(t, out, "rsa", "ec", "Signature key")
	d.Write("ca.der", string(d.ca.certificate.Raw), 0o600)
	d.Run("openssl", "x509", "-inform", "DER", "-in", "ca.der", "-out", "ca.pem")
	d.Run("certutil", "-A", "-d", "sql:nss", "-n", "ca", "-t", ",C,", "-i", "ca.der")
	d.Write("data", "signed by a card", 0o600)
	for _, name := range []string{"Signature key", "Authentication key"} {
		signed := d.Try("cmsutil", "-S", "-d", "sql:nss", "-N", "OpenPGP card (User PIN):"+name, "-H", "SHA256", "-i", "data", "-o", "signed.p7")
		if signed.Exit != 0 {
			t.Fatal(signed)
		}
		d.Run("openssl", "cms", "-verify", "-purpose", "any", "-CAfile", "ca.pem", "-inform", "DER", "-in", "signed.p7", "-out", "verified")
	}
	stack.Judged(t, "NSS", everything, "lists and signs")
}

func TestOpenSSLEngine(t *testing.T) {
	d := newP11(t, p11kit.Options{})
	keys := d.keys(t)
	d.Setenv("PKCS11_MODULE_PATH", module)
	d.Write("data", "signed by a card", 0o600)
	for id, public := range map[string]string{"%01": keys.rsa, "%03": keys.ec} {
		d.Run("openssl", "dgst", "-engine", "pkcs11", "-keyform", "engine", "-sha256", "-sign", "pkcs11:token=OpenPGP%20card%20%28User%20PIN%29;id="+id+";type=private", "-out", "sig", "data")
		has(t, d.Run("openssl", "dgst", "-sha256", "-verify", public, "-signature", "sig", "data"), "Verified OK")
	}
	if _, uses, _ := d.token.Counts(); uses != 2 {
		t.Errorf("the keys were used %d times for 2 signatures", uses)
	}
	stack.Judged(t, "OpenSSL's engine", everything, "signs")
}

// A token that needs a login hides private keys until then, and shows the rest.
func TestATokenThatNeedsALogin(t *testing.T) {
	d := newP11(t, p11kit.Options{NeedsLogin: true})
	has(t, d.Run("pkcs11-tool", "--module", module, "-L"), "login required")
	public := d.Run("pkcs11-tool", "--module", module, "-O")
	has(t, public, "Public Key Object; RSA", "Certificate Object")
	if strings.Contains(public, "Private Key Object") {
		t.Errorf("a private key before a login:\n%s", public)
	}
	has(t, d.Run("pkcs11-tool", "--module", module, "-O", "--login"), "Private Key Object; RSA")
	has(t, d.Run("ssh-keygen", "-D", module), "ssh-rsa ")
	result := d.Try("p11tool", "--provider", module, "--login", "--batch", "--test-sign", "pkcs11:serial=FFFE12345678;id=%03;type=private")
	has(t, result.Stdout+result.Stderr, "ok")
}

func TestATokenComesAndGoes(t *testing.T) {
	d := newP11(t, p11kit.Options{})
	d.cards.Remove(d.token)
	if out := d.Run("pkcs11-tool", "--module", module, "-L"); strings.Contains(out, "FFFE12345678") {
		t.Errorf("a token that was removed:\n%s", out)
	}
	again := (&softtoken.Token{What: d.token.What}).With(ecKey(t, d.ca))
	again.What.Number = 2
	d.cards.Insert(again)
	has(t, d.Run("pkcs11-tool", "--module", module, "-L", "-O"), "Slot 0 (0x1): Reader 00 00", "FFFE12345678", "Private Key Object; EC")
}
