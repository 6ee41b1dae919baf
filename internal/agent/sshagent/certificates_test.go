package sshagent_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/agent/sshagent"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/softtoken"
)

// certify makes a certificate in a directory.
func certify(t *testing.T, dir, name, comment string, kind uint32, key any) *ssh.Certificate {
	t.Helper()
	authority, err := ssh.NewSignerFromSigner(edKey(t))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &ssh.Certificate{Key: public, CertType: kind, KeyId: "alice", ValidPrincipals: []string{"alice"}, ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	line := append(bytes.TrimSpace(ssh.MarshalAuthorizedKey(certificate)), " "+comment+"\n"...)
	if err := os.WriteFile(filepath.Join(dir, name), line, 0o644); err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	key := edKey(t)
	certificate := certify(t, dir, "alice-cert.pub", "alice@example.org", ssh.UserCert, key.Public())
	certify(t, dir, "bare-cert.pub", "", ssh.UserCert, rsaKey().Public())
	certify(t, dir, "stranger-cert.pub", "stranger", ssh.UserCert, edKey(t).Public())
	certify(t, dir, "ignored.pub", "ignored", ssh.UserCert, key.Public())
	certify(t, dir, "host-cert.pub", "host", ssh.HostCert, key.Public())
	for name, text := range map[string]string{"broken-cert.pub": "ssh-ed25519-cert-v01@openssh.com AAAA", "empty-cert.pub": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "directory-cert.pub"), 0o700); err != nil {
		t.Fatal(err)
	}

	token := card("1", keyOf("K", key), keyOf("RSA", rsaKey()))
	desk := softtoken.New(token)
	log := &logged{}
	c := client(t, sshagent.NewDesk(desk, sshagent.Options{Certificates: dir, Log: log.add}))
	want := []string{"alice@example.org", "K OpenPGP card 1", "bare-cert.pub", "RSA OpenPGP card 1"}
	if got := comments(t, c); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, name := range []string{"host", "broken", "empty", "directory"} {
		if !log.has(problem.Failed, fmt.Sprintf("read the certificate %s-cert.pub", name)) {
			t.Errorf("nothing about %s: %v", name, log.errors)
		}
	}
	signature, err := c.Sign(certificate, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := certificate.Verify([]byte("data"), signature); err != nil {
		t.Error(err)
	}
	desk.Remove(token)
	if got := comments(t, c); len(got) != 0 {
		t.Errorf("without the card: %q", got)
	}
}

func TestNoDirectoryOfCertificates(t *testing.T) {
	log := &logged{}
	options := sshagent.Options{Certificates: filepath.Join(t.TempDir(), "missing"), Log: log.add}
	c := client(t, sshagent.NewDesk(softtoken.New(card("1", keyOf("K", edKey(t)))), options))
	if got := comments(t, c); len(got) != 1 || len(log.errors) != 0 {
		t.Errorf("%q, %v", got, log.errors)
	}
}

func TestManyCertificates(t *testing.T) {
	dir := t.TempDir()
	key := edKey(t)
	for i := range 257 {
		certify(t, dir, fmt.Sprintf("%d-cert.pub", i), "c", ssh.UserCert, key.Public())
	}
	log := &logged{}
	c := client(t, sshagent.NewDesk(softtoken.New(card("1", keyOf("K", key))), sshagent.Options{Certificates: dir, Log: log.add}))
	if got := comments(t, c); len(got) != 257 || !log.has(problem.Failed, "more than 256") {
		t.Errorf("%d, %v", len(got), log.errors)
	}
}
