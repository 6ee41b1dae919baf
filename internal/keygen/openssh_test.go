package keygen

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// sshKeygen makes a key in OpenSSH's own format, and returns it with its public half.
func sshKeygen(t *testing.T, args ...string) (file []byte, public crypto.PublicKey) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "id")
	if out, err := exec.Command("ssh-keygen", append([]string{"-q", "-f", path}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	parsed, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	return file, parsed.(ssh.CryptoPublicKey).CryptoPublicKey()
}

func TestParseOpenSSHKeys(t *testing.T) {
	for name, args := range map[string][]string{
		"RSA": {"-t", "rsa", "-b", "2048"}, "P-256": {"-t", "ecdsa", "-b", "256"}, "P-384": {"-t", "ecdsa", "-b", "384"},
		"P-521": {"-t", "ecdsa", "-b", "521"}, "Ed25519": {"-t", "ed25519"},
	} {
		for form, more := range map[string][]string{
			"plain": {"-N", ""}, "encrypted": {"-N", "secret"}, "another cipher": {"-N", "secret", "-Z", "aes256-cbc", "-a", "4"},
		} {
			if name == "RSA" && form != "plain" {
				continue // making one takes long
			}
			file, public := sshKeygen(t, append(args, more...)...)
			private, _, err := ParsePrivateKey(t.Context(), file, "", typed("secret"))
			if err != nil {
				t.Errorf("%s, %s: %v", name, form, err)
				continue
			}
			if got, err := publicOf(private); err != nil || !pubkey.Same(got, public) {
				t.Errorf("%s, %s: another key, %v", name, form, err)
			}
		}
	}
}

func TestOpenSSHKeysAreRefused(t *testing.T) {
	file, _ := sshKeygen(t, "-t", "ed25519", "-N", "secret")
	if _, _, err := ParsePrivateKey(t.Context(), file, "", typed("guess")); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "does not open") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, _, err := ParsePrivateKey(t.Context(), file, "", nobody); !problem.Is(err, problem.Usage) {
		t.Errorf("nobody to ask: %v", err)
	}
	block, _ := pem.Decode(file)
	salt := bytes.Index(block.Bytes, []byte("bcrypt")) + len("bcrypt")
	const lengths, saltBytes = 8, 16
	block.Bytes[salt+lengths+saltBytes] = 0x7F // the most significant byte of the rounds
	start := time.Now()
	_, _, err := ParsePrivateKey(t.Context(), pem.EncodeToMemory(block), "", typed("secret"))
	if !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "too much work") || time.Since(start) > time.Second {
		t.Errorf("endless rounds: %v", err)
	}
}

// TestSeveralKeysInPKCS12 has a file of GnuTLS: OpenSSL makes none.
func TestSeveralKeysInPKCS12(t *testing.T) {
	dir := t.TempDir()
	var blocks []byte
	var fingerprints []string
	for range 2 {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
		fingerprints = append(fingerprints, pubkey.Fingerprint(private.Public()))
	}
	if err := os.WriteFile(filepath.Join(dir, "keys.pem"), blocks, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("certtool", "--to-p12", "--outder", "--load-privkey", "keys.pem", "--p12-name", "two", "--password", "secret")
	cmd.Dir = dir
	file, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = ParsePrivateKey(t.Context(), file, "", typed("secret"))
	wantProblem(t, err, problem.Mismatch, "2 private keys", `"two" (p256, `+fingerprints[0][:16], fingerprints[1][:16])
	_, _, err = ParsePrivateKey(t.Context(), file, "two", typed("secret"))
	wantProblem(t, err, problem.NotFound, `2 private keys with the name "two"`)
	_, _, err = ParsePrivateKey(t.Context(), file, "three", typed("secret"))
	wantProblem(t, err, problem.NotFound, `no private key with the name "three"`)
	for _, fingerprint := range fingerprints {
		private, _, err := ParsePrivateKey(t.Context(), file, strings.ToLower(fingerprint[:16]), typed("secret"))
		if err != nil {
			t.Fatal(err)
		}
		public, err := publicOf(private)
		if err != nil || pubkey.Fingerprint(public) != fingerprint || key.AlgorithmOf(public) != key.P256 {
			t.Errorf("%s: another key, %v", fingerprint, err)
		}
	}
}

// FuzzOpenSSH reads keys in OpenSSH's own format: each is read, or refused with a reason.
func FuzzOpenSSH(f *testing.F) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := ssh.MarshalPrivateKey(private, "comment")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain.Bytes)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	encrypted, err := ssh.MarshalPrivateKeyWithPassphrase(p256, "", []byte("secret"))
	if err != nil {
		f.Fatal(err)
	}
	rounds := bytes.Index(encrypted.Bytes, []byte("bcrypt")) + len("bcrypt") + 4 + 4 + 16
	encrypted.Bytes[rounds+3] = 1
	f.Add(encrypted.Bytes)
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, ok := bcryptRounds(data); ok && n > 4 && n <= maxRounds {
			return // is read like one with few rounds, and takes long
		}
		key, err := parseOpenSSH(t.Context(), data, typed("secret"))
		var p *problem.Error
		switch {
		case err == nil && key == nil:
			t.Fatal("no key and no error")
		case err != nil && !errors.As(err, &p):
			t.Fatalf("%T: %v", err, err)
		}
		if err == nil {
			_, _ = publicOf(key)
		}
	})
}
