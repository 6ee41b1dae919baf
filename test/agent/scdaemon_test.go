//go:build stack

package agent_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/test/stack"
)

const serial = "D276000124010304FFFE000102030000"

var created = time.Unix(1700000000, 0)

// gnuPG is a GnuPG whose scdaemon is the agent's door, in front of these cards.
func gnuPG(t *testing.T, d *stack.Desk, cards ...storedCard) *stack.GnuPG {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := d.GnuPG(0, "", "")
	file := d.Path("gnupg/cards.json")
	storeCards(t, file, cards...)
	scdaemon := d.Write("gnupg/scdaemon", fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", cardsVariable, file, program), 0o700)
	d.Write("gnupg/gpg-agent.conf", "scdaemon-program "+scdaemon+"\nenable-ssh-support\n", 0o600)
	return g
}

type private interface{ Public() crypto.PublicKey }

func generate(t *testing.T, algorithm string) (k private) {
	t.Helper()
	var err error
	switch algorithm {
	case "rsa2048":
		k, err = rsa.GenerateKey(rand.Reader, 2048)
	case "nistp256":
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "nistp384":
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "nistp521":
		k, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, k, err = ed25519.GenerateKey(rand.Reader)
	case "cv25519":
		k, err = ecdh.X25519().GenerateKey(rand.Reader)
	default:
		t.Fatal(algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// openPGP is an OpenPGP card with a key of each place.
func openPGP(t *testing.T, signature, decryption, authentication string) storedCard {
	t.Helper()
	id, err := hex.DecodeString(serial)
	if err != nil {
		t.Fatal(err)
	}
	c := storedCard{About: agent.About{Number: 1, Kind: "OpenPGP card", Serial: serial[16:28], Maker: "test card", Reader: "Reader 00", AID: id, Tries: []int{3, 0, 3}, MinPIN: 6, MaxPIN: 127}}
	for i, algorithm := range []string{signature, decryption, authentication} {
		about := agent.KeyAbout{
			Ref: fmt.Sprintf("OPENPGP.%d", i+1), Place: []string{"signature", "decryption", "authentication"}[i],
			Signs: i != 1, Decrypts: i == 1, Derives: i == 1,
			Created: created, Fingerprint: bytes.Repeat([]byte{byte(0xA0 + i)}, 20),
		}
		c.Keys = append(c.Keys, storedKey{About: about, private: generate(t, algorithm)})
	}
	return c
}

func (k storedKey) grip() string { return key.Keygrip(k.private.Public()) }

func TestGnuPGUsesAnOpenPGPCard(t *testing.T) {
	for _, algorithms := range [][3]string{
		{"rsa2048", "rsa2048", "rsa2048"},
		{"nistp256", "nistp256", "nistp384"},
		{"nistp521", "nistp521", "nistp521"},
		{"ed25519", "cv25519", "ed25519"},
	} {
		t.Run(algorithms[0], func(t *testing.T) {
			card := openPGP(t, algorithms[0], algorithms[1], algorithms[2])
			d := stack.NewDesk(t)
			g := gnuPG(t, d, card)
			cardStatus(t, d, g, card)
			who := adopt(t, d, card, algorithms[0])
			signedAndVerified(d, who)
			encryptedAndDecrypted(t, d, who)
			loggedIn(t, d, 1)
		})
	}
}

func cardStatus(t *testing.T, d *stack.Desk, g *stack.GnuPG, card storedCard) {
	t.Helper()
	status := g.CardStatus()
	if got := status["serial"][0]; got != serial[20:28] {
		t.Errorf("serial %s", got)
	}
	for i, k := range card.Keys {
		if got := status["grp"][i]; got != k.grip() {
			t.Errorf("keygrip %s, want %s", got, k.grip())
		}
		if got := status["fpr"][i]; got != fmt.Sprintf("%X", k.About.Fingerprint) {
			t.Errorf("fingerprint %s", got)
		}
		if got := status["fprtime"][i]; got != fmt.Sprint(created.Unix()) {
			t.Errorf("time %s", got)
		}
	}
	if got := strings.Join(status["pinretry"], " "); got != "3 0 3" {
		t.Errorf("tries %s", got)
	}
}

// adopt makes an OpenPGP key of the keys of a card, in both ways that gpg has.
func adopt(t *testing.T, d *stack.Desk, card storedCard, algorithm string) (who string) {
	t.Helper()
	kind := map[string]string{"rsa2048": "RSA", "ed25519": "EDDSA"}[algorithm]
	if kind == "" {
		kind = "ECDSA"
	}
	const first, second = "alice@example.com", "alice@example.org"
	d.RunInput(fmt.Sprintf("Key-Type: %s\nKey-Grip: %s\nKey-Usage: sign,cert\nName-Email: %s\nExpire-Date: 0\n%%commit\n", kind, card.Keys[0].grip(), first),
		"gpg", "--batch", "--full-generate-key")
	adoptWith(d, second)
	for who, keys := range map[string]int{first: 1, second: 2} {
		listing := d.Run("gpg", "--with-colons", "--with-keygrip", "--list-secret-keys", who)
		for _, k := range card.Keys[:keys] {
			if !strings.Contains(listing, "grp:::::::::"+k.grip()+":") {
				t.Errorf("the key of %s has no %s:\n%s", who, k.About.Ref, listing)
			}
		}
	}
	return second
}

// adoptWith makes an OpenPGP key of the keys for signatures and for decryption of a card.
func adoptWith(d *stack.Desk, who string) {
	d.Run("gpg", "--batch", "--quick-generate-key", who, "card", "default", "0")
	fingerprint := field(d.Run("gpg", "--with-colons", "--list-keys", who), "fpr")
	d.Run("gpg", "--batch", "--quick-add-key", fingerprint, "card", "encr", "0")
}

// field is the tenth field of the first line of a kind.
func field(listing, kind string) string {
	for line := range strings.Lines(listing) {
		if f := strings.Split(line, ":"); f[0] == kind && len(f) > 9 {
			return f[9]
		}
	}
	return ""
}

func signedAndVerified(d *stack.Desk, who string) {
	message := d.Write("message", "from the desk\n", 0o600)
	d.Run("gpg", "--batch", "--yes", "--local-user", who, "--output", "signed", "--detach-sign", message)
	d.Run("gpg", "--batch", "--verify", "signed", message)
}

func encryptedAndDecrypted(t *testing.T, d *stack.Desk, who string) {
	t.Helper()
	message := d.Write("message", "for Alice\n", 0o600)
	d.Run("gpg", "--batch", "--yes", "--trust-model", "always", "--recipient", who, "--output", "encrypted", "--encrypt", message)
	if got := d.Run("gpg", "--batch", "--decrypt", "encrypted"); got != "for Alice\n" {
		t.Errorf("%q", got)
	}
}

// loggedIn uses keys through gpg-agent's door for SSH, which lists at least one for each
// card; gpg-agent 2.4 lists all.
func loggedIn(t *testing.T, d *stack.Desk, cards int) {
	t.Helper()
	d.Setenv("SSH_AUTH_SOCK", strings.TrimSpace(d.Run("gpgconf", "--list-dirs", "agent-ssh-socket")))
	listed := d.Run("ssh-add", "-L")
	if strings.Count(listed, "\n") < cards {
		t.Fatalf("ssh-add lists %s", listed)
	}
	for line := range strings.Lines(listed) {
		public := d.Write("login.pub", line, 0o600)
		d.Write("signers", "alice "+line, 0o600)
		message := d.Write("login", "a message", 0o600)
		_ = os.Remove(d.Path("login.sig"))
		d.Run("ssh-keygen", "-Y", "sign", "-f", public, "-n", "file", message)
		d.RunInput("a message", "ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "alice", "-n", "file", "-s", "login.sig")
	}
}

// otherCard is a card of another kind. Its keys have certificates of a new CA, except the
// last.
func otherCard(t *testing.T, d *stack.Desk) storedCard {
	t.Helper()
	c := storedCard{About: agent.About{Number: 2, Kind: "PKCS#15 card", Serial: "0815", Label: "My card", Reader: "Reader 01"}}
	c.Keys = []storedKey{
		{About: agent.KeyAbout{Ref: "PKCS15.45", Signs: true, Decrypts: true}, private: generate(t, "rsa2048")},
		{About: agent.KeyAbout{Ref: "PKCS15.46", Signs: true, Derives: true}, private: generate(t, "nistp256")},
		{About: agent.KeyAbout{Ref: "pkcs11:token=My%20card;id=%47", Signs: true}, private: generate(t, "nistp384")},
	}
	d.Run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test CA",
		"-addext", "keyUsage=critical,keyCertSign,cRLSign")
	for i, usage := range []string{"digitalSignature,keyEncipherment", "digitalSignature"} {
		spki, err := x509.MarshalPKIXPublicKey(c.Keys[i].private.Public())
		if err != nil {
			t.Fatal(err)
		}
		public := d.Write("public.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})), 0o600)
		extensions := d.Write("extensions", "keyUsage=critical,"+usage+"\nsubjectAltName=email:alice@example.com\n", 0o600)
		file := fmt.Sprintf("%s.pem", names[i])
		d.Run("openssl", "x509", "-new", "-force_pubkey", public, "-subj", "/CN="+names[i], "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30",
			"-set_serial", fmt.Sprint(i+2), "-extfile", extensions, "-out", file)
		c.Keys[i].About.Certificate = stack.ParseCertificate(t, d.Read(file)).Raw
	}
	return c
}

// names are those in certificates.
var names = []string{"Alice RSA", "Alice EC"}

func TestGpgsmUsesACard(t *testing.T) {
	d := stack.NewDesk(t)
	card := otherCard(t, d)
	gnuPG(t, d, card, openPGP(t, "nistp256", "nistp256", "nistp256")) // gpgsm learns the first card
	d.Write("gnupg/gpgsm.conf", "disable-crl-checks\n", 0o600)
	fingerprint := sha1.Sum(stack.ParseCertificate(t, d.Read("ca.pem")).Raw)
	d.Write("gnupg/trustlist.txt", fmt.Sprintf("%X S relax\n", fingerprint), 0o600)
	d.Run("gpgsm", "--import", "ca.pem")
	d.Run("gpgsm", "--learn-card")
	listing := d.Run("gpgsm", "--with-colons", "--with-keygrip", "--list-secret-keys")
	for _, k := range card.Keys[:2] {
		if !strings.Contains(listing, "grp:::::::::"+k.grip()+":") {
			t.Errorf("gpgsm has no %s:\n%s", k.About.Ref, listing)
		}
	}
	for _, name := range names {
		mailSigned(t, d, name)
	}
	message := d.Write("message", "from the desk\n", 0o600)
	d.Run("openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", "-in", message, "-out", "encrypted", names[0]+".pem")
	if got := d.Run("gpgsm", "--batch", "--decrypt", "encrypted"); got != "from the desk\n" {
		t.Errorf("%q", got)
	}
	loggedIn(t, d, 2)
}

// mailSigned has gpgsm sign, and OpenSSL verify. gpg-agent 2.2 keeps the sign of numbers in its
// signatures: a zero comes before one whose first bit is set, which OpenSSL refuses. So
// another message gets another chance.
func mailSigned(t *testing.T, d *stack.Desk, name string) {
	t.Helper()
	var last stack.Result
	for i := range 20 {
		message := d.Write("message", fmt.Sprintf("message %d\n", i), 0o600)
		d.Run("gpgsm", "--batch", "--yes", "--local-user", "CN="+name, "--output", "signed", "--detach-sign", message)
		d.Run("gpgsm", "--verify", "signed", message)
		last = d.Try("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signed", "-content", message, "-CAfile", "ca.pem", "-out", "out", "-purpose", "any")
		if last.Exit == 0 {
			return
		}
	}
	t.Error(last)
}

func TestGnuPGUsesSeveralCardsAtOnce(t *testing.T) {
	d := stack.NewDesk(t)
	card := openPGP(t, "nistp256", "nistp256", "ed25519")
	other := otherCard(t, d)
	gnuPG(t, d, card, other).CardStatus()
	who := adopt(t, d, card, "nistp256")
	d.Run("gpg-connect-agent", "SCD SERIALNO p15", "LEARN --force", "/bye")
	const third = "alice@example.net"
	d.RunInput(fmt.Sprintf("Key-Type: ECDSA\nKey-Grip: %s\nKey-Usage: sign,cert\nName-Email: %s\nExpire-Date: 0\n%%commit\n", other.Keys[2].grip(), third),
		"gpg", "--batch", "--full-generate-key")
	message := d.Write("message", "from the desk\n", 0o600)
	var wait sync.WaitGroup
	results := make(chan stack.Result, 100)
	for i := range 4 {
		wait.Go(func() {
			for range 5 {
				results <- d.Try("gpg", "--batch", "--yes", "--local-user", []string{who, third}[i%2], "--output", fmt.Sprintf("signed%d", i), "--detach-sign", message)
				results <- d.Try("gpg", "--batch", "--verify", fmt.Sprintf("signed%d", i), message)
			}
		})
	}
	wait.Wait()
	close(results)
	for r := range results {
		if r.Exit != 0 {
			t.Error(r)
		}
	}
}

func TestGnuPGHearsOfCards(t *testing.T) {
	d := stack.NewDesk(t)
	g := gnuPG(t, d, openPGP(t, "nistp256", "nistp256", "nistp256"))
	g.CardStatus()
	events := func() string { return d.Run("gpg-connect-agent", "GETEVENTCOUNTER", "/bye") }
	before := events()
	number, _ := g.SCD("GETINFO pid")
	pid, err := strconv.Atoi(string(number))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.Eventually("gpg-agent has counted the removal of the card", func() bool { return events() != before })
	if r := d.Try("gpg", "--card-status"); r.Exit == 0 {
		t.Error(r)
	}
}
