//go:build stack

package agent_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/sshagent"
	"github.com/cardctl/cardctl/test/softtoken"
	"github.com/cardctl/cardctl/test/stack"
)

// sshKeys are the names of the keys that every test of OpenSSH has.
var sshKeys = []string{"RSA", "P256", "P384", "P521", "ED25519"}

// sshDesk serves a token with those keys to OpenSSH's programs. Their public keys are in
// files: RSA.pub. Certificates are looked for beside them.
func sshDesk(t *testing.T) (*stack.Desk, *softtoken.Desk, *softtoken.Token) {
	t.Helper()
	d := stack.NewDesk(t)
	token := &softtoken.Token{What: agent.About{Kind: "OpenPGP card", Serial: "000F12345678"}}
	for _, name := range sshKeys {
		private := sshKey(t, name)
		token.With(&softtoken.Key{What: agent.KeyAbout{Ref: name, Public: private.Public(), Signs: true}, Private: private})
		public, err := ssh.NewPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		d.Write(name+".pub", string(ssh.MarshalAuthorizedKey(public)), 0o600)
	}
	tokens := softtoken.New(token)
	serveSSH(t, d, sshagent.NewDesk(tokens, sshagent.Options{Certificates: d.Path("."), Log: func(err error) { t.Log(err) }}))
	return d, tokens, token
}

func sshKey(t *testing.T, name string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch name {
	case "RSA":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ED25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		curve := map[string]elliptic.Curve{"P256": elliptic.P256(), "P384": elliptic.P384(), "P521": elliptic.P521()}[name]
		key, err = ecdsa.GenerateKey(curve, rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serveSSH answers on a socket, which SSH_AUTH_SOCK names.
func serveSSH(t *testing.T, d *stack.Desk, door *sshagent.Desk) {
	t.Helper()
	listener, err := net.Listen("unix", d.Path("agent"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	d.Setenv("SSH_AUTH_SOCK", d.Path("agent"))
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if err := sshagent.Serve(t.Context(), conn, door, agent.Client{Door: "ssh"}); err != nil && t.Context().Err() == nil {
					t.Error(err)
				}
			}()
		}
	}()
}

func TestSSHAdd(t *testing.T) {
	d, tokens, token := sshDesk(t)
	list := d.Run("ssh-add", "-l")
	for _, name := range sshKeys {
		if fingerprint := strings.Fields(d.Run("ssh-keygen", "-l", "-f", name+".pub"))[1]; !strings.Contains(list, fingerprint+" "+name+" OpenPGP card 000F12345678") {
			t.Errorf("ssh-add -l has no %s of %s:\n%s", fingerprint, name, list)
		}
		if name != "RSA" { // for which ssh-add -T asks for SHA-1
			d.Run("ssh-add", "-T", name+".pub")
		}
		if public := strings.TrimSpace(string(d.Read(name + ".pub"))); !strings.Contains(d.Run("ssh-add", "-L"), public) {
			t.Errorf("ssh-add -L has no %s", name)
		}
	}
	tokens.Remove(token)
	if r := d.Try("ssh-add", "-l"); r.Exit != 1 || !strings.Contains(r.Stdout, "no identities") {
		t.Errorf("without the card: %v", r)
	}
}

func TestSSHAddChangesNoKeys(t *testing.T) {
	d, _, _ := sshDesk(t)
	d.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "own")
	d.Write("known", "example.org "+string(d.Read("own.pub")), 0o600)
	for _, args := range [][]string{{"own"}, {"-t", "60", "own"}, {"-H", d.Path("known"), "-h", "example.org", "own"}, {"-d", "RSA.pub"}, {"-D"}} {
		if r := d.Try("ssh-add", args...); r.Exit == 0 {
			t.Errorf("not refused: %v", r)
		}
	}
	if list := d.Run("ssh-add", "-l"); strings.Count(list, "\n") != len(sshKeys) {
		t.Errorf("keys after it:\n%s", list)
	}
}

func TestSSHAddLocks(t *testing.T) {
	d, _, _ := sshDesk(t)
	d.Setenv("SSH_ASKPASS_REQUIRE", "force")
	with := func(passphrase, option string) stack.Result {
		d.Setenv("SSH_ASKPASS", d.Write("askpass", "#!/bin/sh\necho "+passphrase+"\n", 0o700))
		return d.Try("ssh-add", option)
	}
	if r := with("correct", "-x"); r.Exit != 0 {
		t.Fatal(r)
	}
	if r := d.Try("ssh-add", "-l"); r.Exit != 1 || !strings.Contains(r.Stdout, "no identities") {
		t.Errorf("locked: %v", r)
	}
	if r := d.Try("ssh-add", "-T", "ED25519.pub"); r.Exit == 0 {
		t.Errorf("locked: %v", r)
	}
	if r := with("wrong", "-X"); r.Exit == 0 {
		t.Errorf("wrong passphrase: %v", r)
	}
	if r := with("correct", "-X"); r.Exit != 0 {
		t.Error(r)
	}
	d.Run("ssh-add", "-T", "ED25519.pub")
}

func TestSSHKeygenSigns(t *testing.T) {
	d, _, _ := sshDesk(t)
	d.Write("data", "what is signed", 0o600)
	for _, name := range sshKeys {
		d.Write("signers", "alice@example.org "+string(d.Read(name+".pub")), 0o600)
		signature := d.RunInput("what is signed", "ssh-keygen", "-Y", "sign", "-f", name+".pub", "-n", "file")
		d.Write("data.sig", signature, 0o600)
		verify := []string{"-Y", "verify", "-f", "signers", "-I", "alice@example.org", "-n", "file", "-s", "data.sig"}
		if out := d.RunInput("what is signed", "ssh-keygen", verify...); !strings.Contains(out, "Good") {
			t.Errorf("%s: %s", name, out)
		}
		if r := d.TryInput("something else", "ssh-keygen", verify...); r.Exit == 0 {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestGitSigns(t *testing.T) {
	d, _, _ := sshDesk(t)
	d.Run("git", "init", "-q")
	for _, setting := range []string{"user.name=Alice", "user.email=alice@example.org", "gpg.format=ssh", "gpg.ssh.allowedSignersFile=" + d.Path("signers")} {
		name, value, _ := strings.Cut(setting, "=")
		d.Run("git", "config", name, value)
	}
	for _, name := range sshKeys {
		d.Write("signers", "alice@example.org "+string(d.Read(name+".pub")), 0o600)
		d.Run("git", "config", "user.signingKey", d.Path(name+".pub"))
		d.Run("git", "commit", "-q", "-S", "--allow-empty", "-m", name)
		if r := d.Try("git", "verify-commit", "HEAD"); r.Exit != 0 || !strings.Contains(r.Stderr+r.Stdout, "Good \"git\" signature for alice@example.org") {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestSSHLogin(t *testing.T) {
	d, _, token := sshDesk(t)
	// A key that the server does not know gets a certificate from an authority that it does.
	certified := sshKey(t, "ED25519")
	token.With(&softtoken.Key{What: agent.KeyAbout{Ref: "CERTIFIED", Public: certified.Public(), Signs: true}, Private: certified})
	public, err := ssh.NewPublicKey(certified.Public())
	if err != nil {
		t.Fatal(err)
	}
	d.Write("CERTIFIED.pub", string(ssh.MarshalAuthorizedKey(public)), 0o600)
	d.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "authority")
	d.Run("ssh-keygen", "-q", "-s", "authority", "-I", "alice", "-n", "root", "CERTIFIED.pub", "RSA.pub")
	if list := d.Run("ssh-add", "-L"); !strings.Contains(list, strings.Fields(string(d.Read("CERTIFIED-cert.pub")))[1]) {
		t.Errorf("ssh-add -L has no certificate:\n%s", list)
	}

	login := sshLogin(t, d)
	for _, test := range []struct{ name, identity, algorithm, key string }{
		{"RSA, SHA-256", "RSA.pub", "rsa-sha2-256", "RSA"},
		{"RSA, SHA-512", "RSA.pub", "rsa-sha2-512", "RSA"},
		{"P-256", "P256.pub", "ecdsa-sha2-nistp256", "ECDSA"},
		{"P-384", "P384.pub", "ecdsa-sha2-nistp384", "ECDSA"},
		{"P-521", "P521.pub", "ecdsa-sha2-nistp521", "ECDSA"},
		{"Ed25519", "ED25519.pub", "ssh-ed25519", "ED25519"},
		{"certificate", "CERTIFIED-cert.pub", "ssh-ed25519-cert-v01@openssh.com", "ED25519-CERT"},
		{"certificate of RSA", "RSA-cert.pub", "rsa-sha2-512-cert-v01@openssh.com", "RSA-CERT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, server := login(test.identity, test.algorithm)
			if r.Exit != 0 || r.Stdout != "in\n" {
				t.Fatalf("%v\nserver:\n%s", r, server)
			}
			if !strings.Contains(server, "Accepted publickey for root") || !strings.Contains(server, " ssh2: "+test.key+" ") {
				t.Errorf("the server says:\n%s", server)
			}
			if !strings.Contains(r.Stderr, "bound agent to hostkey") {
				t.Errorf("the session is not bound:\n%s", r.Stderr)
			}
		})
	}
	t.Run("unknown key", func(t *testing.T) {
		if r, _ := login("CERTIFIED.pub", "ssh-ed25519"); r.Exit != 255 {
			t.Error(r)
		}
	})
}

// sshLogin starts OpenSSH's server, which knows the keys of sshKeys and the authority. The
// function logs in with one identity, and returns what the server said meanwhile.
func sshLogin(t *testing.T, d *stack.Desk) func(identity, algorithm string) (stack.Result, string) {
	t.Helper()
	var authorized []byte
	for _, name := range sshKeys {
		authorized = append(authorized, d.Read(name+".pub")...)
	}
	login := sshServer(t, d, authorized, "TrustedUserCAKeys "+d.Path("authority.pub"))
	return func(identity, algorithm string) (stack.Result, string) {
		return login("IdentitiesOnly=yes", "IdentityFile="+d.Path(identity), "PubkeyAcceptedAlgorithms="+algorithm)
	}
}

// sshServer starts OpenSSH's server, which knows these keys, with more lines of its
// configuration. The function logs in with options of ssh.
func sshServer(t *testing.T, d *stack.Desk, authorized []byte, more ...string) func(options ...string) (stack.Result, string) {
	t.Helper()
	d.Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "host")
	d.Write("authorized", string(authorized), 0o600)
	port := stack.FreePort(t)
	d.Write("known", "[localhost]:"+port+" "+string(d.Read("host.pub")), 0o600)
	d.Write("sshd_config", strings.NewReplacer("DIRECTORY", d.Path("."), "PORT", port).Replace(`
Port PORT
ListenAddress 127.0.0.1
HostKey DIRECTORY/host
AuthorizedKeysFile DIRECTORY/authorized
PidFile none
StrictModes no
PermitRootLogin prohibit-password
UsePAM no
`)+strings.Join(more, "\n")+"\n", 0o600)
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	d.Start("sshd.log", "/usr/sbin/sshd", "-D", "-e", "-f", d.Path("sshd_config"))
	d.Eventually("sshd answers", func() bool { return d.Try("ssh-keyscan", "-p", port, "localhost").Stdout != "" })
	return func(more ...string) (stack.Result, string) {
		before := len(d.Read("sshd.log"))
		options := []string{"-v", "-F", "none", "-4", "-p", port}
		for _, option := range append([]string{"BatchMode=yes", "UserKnownHostsFile=" + d.Path("known")}, more...) {
			options = append(options, "-o", option)
		}
		r := d.Try("ssh", slices.Concat(options, []string{"root@localhost", "echo", "in"})...)
		return r, string(d.Read("sshd.log")[before:])
	}
}
