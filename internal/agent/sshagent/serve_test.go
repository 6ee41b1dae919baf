package sshagent_test

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	sshclient "golang.org/x/crypto/ssh/agent"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/sshagent"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/softtoken"
)

// keyOf is a key of a token with this reference.
func keyOf(ref string, private crypto.Signer) *softtoken.Key {
	return &softtoken.Key{What: agent.KeyAbout{Ref: ref, Public: private.Public(), Signs: true}, Private: private}
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func card(serial string, keys ...*softtoken.Key) *softtoken.Token {
	token := &softtoken.Token{What: agent.About{Kind: "OpenPGP card", Serial: serial}}
	return token.With(keys...)
}

// logged collects what a desk reports.
type logged struct {
	mu     sync.Mutex
	errors []error
}

func (l *logged) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, err)
}

func (l *logged) has(code problem.Code, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.errors, func(err error) bool { return problem.Is(err, code) && strings.Contains(err.Error(), text) })
}

// connect is a connection to a desk; what Serve returns comes on the channel.
func connect(t testing.TB, d *sshagent.Desk) (net.Conn, <-chan error) {
	t.Helper()
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- sshagent.Serve(ctx, theirs, d, agent.Client{Door: "ssh", Name: "ssh", PID: 7}) }()
	t.Cleanup(func() {
		cancel()
		_ = ours.Close()
		_ = theirs.Close()
	})
	return ours, end
}

func client(t testing.TB, d *sshagent.Desk) sshclient.ExtendedAgent {
	t.Helper()
	conn, _ := connect(t, d)
	return sshclient.NewClient(conn)
}

func comments(t *testing.T, c sshclient.Agent) []string {
	t.Helper()
	keys, err := c.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, k := range keys {
		all = append(all, k.Comment)
	}
	return all
}

func TestList(t *testing.T) {
	signature, authentication := keyOf("OPENPGP.1", ecKey(t, elliptic.P256())), keyOf("OPENPGP.3", edKey(t))
	signature.What.Place, authentication.What.Place = "signature", "authentication"
	decrypts := keyOf("OPENPGP.2", ecKey(t, elliptic.P256()))
	decrypts.What.Signs = false
	agrees, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	agreement := &softtoken.Key{What: agent.KeyAbout{Ref: "X", Public: agrees.PublicKey(), Signs: true}}
	shared := edKey(t)
	first := card("000F12345678", signature, decrypts, authentication, agreement, keyOf("P-224", ecKey(t, elliptic.P224())), keyOf("A", shared))
	second := card("000F1234\n9999", keyOf("B", shared), keyOf("RSA", rsaKey()))
	desk := softtoken.New(first, second)
	c := client(t, sshagent.NewDesk(desk, sshagent.Options{}))

	want := []string{"OPENPGP.3 OpenPGP card 000F12345678", "OPENPGP.1 OpenPGP card 000F12345678", "A OpenPGP card 000F12345678", "RSA OpenPGP card 000F1234?9999"}
	if got := comments(t, c); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	desk.Remove(first)
	want = []string{"B OpenPGP card 000F1234?9999", "RSA OpenPGP card 000F1234?9999"}
	if got := comments(t, c); !slices.Equal(got, want) {
		t.Errorf("without the first card: %q, want %q", got, want)
	}
	desk.Insert(card("0005", keyOf("C", edKey(t))))
	if got := comments(t, c); len(got) != 3 || got[2] != "C OpenPGP card 0005" {
		t.Errorf("with a third card: %q", got)
	}
}

func TestKeyOffItsCurve(t *testing.T) {
	broken := ecKey(t, elliptic.P256())
	broken.X.Add(broken.X, broken.Y)
	c := client(t, sshagent.NewDesk(softtoken.New(card("1", keyOf("BROKEN", broken), keyOf("WHOLE", edKey(t)))), sshagent.Options{}))
	if got := comments(t, c); !slices.Equal(got, []string{"WHOLE OpenPGP card 1"}) {
		t.Errorf("%q", got)
	}
}

func TestSign(t *testing.T) {
	for _, test := range []struct {
		name   string
		key    crypto.Signer
		flags  sshclient.SignatureFlags
		format string
	}{
		{"RSA, SHA-256", rsaKey(), sshclient.SignatureFlagRsaSha256, "rsa-sha2-256"},
		{"RSA, SHA-512", rsaKey(), sshclient.SignatureFlagRsaSha512, "rsa-sha2-512"},
		{"P-256", ecKey(t, elliptic.P256()), 0, "ecdsa-sha2-nistp256"},
		{"P-384", ecKey(t, elliptic.P384()), sshclient.SignatureFlagRsaSha512, "ecdsa-sha2-nistp384"},
		{"P-521", ecKey(t, elliptic.P521()), 0, "ecdsa-sha2-nistp521"},
		{"Ed25519", edKey(t), 0, "ssh-ed25519"},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := card("1", keyOf("K", test.key))
			c := client(t, sshagent.NewDesk(softtoken.New(card("0", keyOf("OTHER", edKey(t))), token), sshagent.Options{}))
			keys, err := c.List()
			if err != nil || len(keys) != 2 {
				t.Fatalf("%v, %v", keys, err)
			}
			signature, err := c.SignWithFlags(keys[1], []byte("data"), test.flags)
			if err != nil {
				t.Fatal(err)
			}
			if signature.Format != test.format {
				t.Errorf("format %s, want %s", signature.Format, test.format)
			}
			if err := keys[1].Verify([]byte("data"), signature); err != nil {
				t.Error(err)
			}
			if _, uses, by := token.Counts(); uses != 1 || by[0] != (agent.Client{Door: "ssh", Name: "ssh", PID: 7}) {
				t.Errorf("%d uses by %v", uses, by)
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	token := card("1", keyOf("K", rsaKey()))
	desk := softtoken.New(token)
	log := &logged{}
	c := client(t, sshagent.NewDesk(desk, sshagent.Options{Log: log.add}))
	public, err := ssh.NewPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, flags sshclient.SignatureFlags) {
		t.Helper()
		if _, err := c.SignWithFlags(public, []byte("data"), flags); err == nil {
			t.Errorf("%s: signed", what)
		}
	}

	refused("SHA-1", 0)
	if !log.has(problem.NotSupported, "SHA-1") {
		t.Errorf("SHA-1: %v", log.errors)
	}
	if _, uses, _ := token.Counts(); uses != 0 {
		t.Errorf("%d uses for SHA-1", uses)
	}
	token.Answer = problem.New(problem.PINBlocked, "the PIN is blocked")
	refused("blocked", sshclient.SignatureFlagRsaSha256)
	if !log.has(problem.PINBlocked, "sign with K OpenPGP card 1: the PIN is blocked") {
		t.Errorf("blocked: %v", log.errors)
	}
	desk.Remove(token)
	refused("removed", sshclient.SignatureFlagRsaSha256)
}

func TestKeysAreNotAddedOrRemoved(t *testing.T) {
	key := edKey(t)
	log := &logged{}
	c := client(t, sshagent.NewDesk(softtoken.New(card("1", keyOf("K", key))), sshagent.Options{Log: log.add}))
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	restricted := sshclient.AddedKey{PrivateKey: edKey(t), ConstraintExtensions: []sshclient.ConstraintExtension{{ExtensionName: "restrict-destination-v00@openssh.com"}}}
	for what, err := range map[string]error{
		"add a key:":           c.Add(sshclient.AddedKey{PrivateKey: edKey(t)}),
		"add a key with const": c.Add(restricted),
		"remove a key":         c.Remove(public),
	} {
		if err == nil || !log.has(problem.NotSupported, what) {
			t.Errorf("%s: %v, %v", what, err, log.errors)
		}
	}
	if c.RemoveAll() == nil || len(comments(t, c)) != 1 {
		t.Error("the key was removed")
	}
}

func TestLock(t *testing.T) {
	key := edKey(t)
	d := sshagent.NewDesk(softtoken.New(card("1", keyOf("K", key))), sshagent.Options{})
	c, other := client(t, d), client(t, d)
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if c.Unlock([]byte("secret")) == nil {
		t.Error("unlocked though it was open")
	}
	if err := c.Lock([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	if got := comments(t, other); len(got) != 0 {
		t.Errorf("locked: %q", got)
	}
	if _, err := other.Sign(public, []byte("data")); err == nil {
		t.Error("locked: signed")
	}
	if other.Lock([]byte("mine")) == nil || other.Unlock([]byte("mine")) == nil || other.Unlock(nil) == nil {
		t.Error("locked: another passphrase was accepted")
	}
	if err := other.Unlock([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sign(public, []byte("data")); err != nil {
		t.Error(err)
	}
}

func TestEnd(t *testing.T) {
	d := sshagent.NewDesk(softtoken.New(), sshagent.Options{})
	conn, end := connect(t, d)
	_ = conn.Close()
	if err := <-end; err != nil {
		t.Errorf("hung up: %v", err)
	}

	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sshagent.Serve(ctx, theirs, d, agent.Client{}) }()
	cancel()
	_ = theirs.Close()
	if err := <-ended; err != context.Canceled {
		t.Errorf("stopped: %v", err)
	}
}
