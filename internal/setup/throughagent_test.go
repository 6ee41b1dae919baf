//go:build unix

package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// sockets are those of an agent that runs.
func sockets(t *testing.T, doors ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, door := range doors {
		put(t, filepath.Join(dir, door), "")
	}
	return dir
}

// TestNoAgent refuses what would not work: no agent, an agent of somebody else, and a
// program to which an agent means nothing.
func TestNoAgent(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		code problem.Code
	}{
		"none runs":       {Options{Target: "firefox", Sockets: t.TempDir()}, problem.NotFound},
		"of another user": {Options{Target: "openssl", User: "root"}, problem.Usage},
		"no use for it":   {Options{Target: "nginx"}, problem.Usage},
	} {
		c.o.Agent = true
		if err := errOf(t, c.o); !problem.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheAgentHasThePIN so that a program gets none, and the card is let go for the agent.
func TestTheAgentHasThePIN(t *testing.T) {
	left, given := false, secret.New([]byte("123456"))
	j := &job{Options: Options{Agent: true}, key: &subject{Key: &lend.Key{Leave: func() error { left = true; return nil }}}}
	check(t, j.sendPIN(t.Context(), func(_ context.Context, pin *secret.Bytes) error { given = pin; return nil }))
	if !left || given != nil {
		t.Errorf("let go: %v, PIN: %v", left, given != nil)
	}
}

// TestSSHByAgent names the socket of a running agent, and ssh-agent only without one.
func TestSSHByAgent(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	own := sockets(t, "ssh")
	for _, c := range []struct {
		o         Options
		has, next string
	}{
		{Options{Sockets: own, Agent: true}, "IdentityAgent " + own + "/ssh\n", "ssh-copy-id"},
		{Options{Sockets: own}, "PKCS11Provider /module.so\n", "ssh-copy-id"},
		{Options{Sockets: t.TempDir(), Agent: true}, "IdentitiesOnly yes\n", "ssh-add -s /module.so"},
		{Options{Sockets: own, Agent: true, System: true}, "IdentitiesOnly yes\n", "ssh-add -s /module.so"},
	} {
		c.o.Home, c.o.Environ = "/home/me", os.Environ()
		j := &job{Options: c.o, key: &subject{Key: &lend.Key{Ref: "OPENPGP.3"}, module: "/module.so", public: &private.PublicKey}}
		p, err := planSSH(t.Context(), j)
		check(t, err)
		text := p.entries[1].text()
		if !strings.Contains(text, c.has) || strings.Contains(text, "PKCS11Provider") == c.o.Agent || !strings.HasPrefix(p.next[0], c.next) {
			t.Errorf("%+v: %s, %q", c.o, text, p.next)
		}
	}
}

// TestEd25519ByAgent is a key that OpenSSH does not use from a module.
func TestEd25519ByAgent(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	j := &job{Options: Options{Agent: true, Sockets: sockets(t, "ssh")}, key: &subject{Key: &lend.Key{Ref: "OPENPGP.3"}, public: public}}
	if line, err := j.authorizedKey(t.Context()); err != nil || !strings.HasPrefix(line, "ssh-ed25519 ") {
		t.Errorf("%q, %v", line, err)
	}
}

// TestRemoteModule is the command by which p11-kit reaches the agent.
func TestRemoteModule(t *testing.T) {
	own, err := os.Executable()
	check(t, err)
	j := &job{Options: Options{Agent: true, System: true, Root: t.TempDir(), Remote: []string{"serve", "p11"}}}
	p, err := planP11Kit(t.Context(), j)
	check(t, err)
	e := p.entries[0].(*file)
	if e.Path != j.Root+"/etc/pkcs11/modules/cardctl-agent.module" || !strings.HasSuffix(e.text(), "\nremote: |"+own+" serve p11\n") {
		t.Errorf("%s: %s", e.Path, e.text())
	}
}

// TestCardDaemon is that of the packages, or else a link that cardctl makes.
func TestCardDaemon(t *testing.T) {
	own, err := os.Executable()
	check(t, err)
	j := &job{Options: Options{Agent: true, Home: t.TempDir(), Dir: t.TempDir(), Root: t.TempDir()}, target: gpg()}
	entries, err := j.daemonEntries()
	check(t, err)
	if len(entries) != 2 {
		t.Fatalf("%+v", entries)
	}
	made := entries[0].(*programLink)
	if made.Target != own || filepath.Base(made.Path) != ownDaemon || !strings.Contains(entries[1].text(), daemonOption+" "+made.Path+"\n") {
		t.Errorf("%+v, %s", made, entries[1].text())
	}
	put(t, j.Root+packagedDaemon, "#!/bin/sh\n")
	check(t, os.Chmod(j.Root+packagedDaemon, 0o755))
	if entries, err = j.daemonEntries(); err != nil || len(entries) != 1 || !strings.Contains(entries[0].text(), j.Root+packagedDaemon+"\n") {
		t.Errorf("with packages: %+v, %v", entries, err)
	}
}

// TestCardDaemonOfOthers is refused by what needs GnuPG's own.
func TestCardDaemonOfOthers(t *testing.T) {
	j := &job{Options: Options{Home: t.TempDir()}, target: gpg()}
	for settings, refused := range map[string]bool{
		"": false, "scdaemon-program /usr/lib/gnupg/scdaemon\n": false,
		"scdaemon-program /usr/bin/gnupg-pkcs11-scd\n": true, "scdaemon-program " + packagedDaemon + "\n": true,
	} {
		put(t, j.agentConfig(), settings)
		if err := j.byOwnDaemon(); problem.Is(err, problem.NotSupported) != refused {
			t.Errorf("%q: %v", settings, err)
		}
	}
}

// TestProgramLink is written, found and taken back, unless a configuration names it.
func TestProgramLink(t *testing.T) {
	dir := t.TempDir()
	l := &programLink{Path: filepath.Join(dir, "made/for/cardctl-scd"), Target: "/usr/bin/cardctl", Config: filepath.Join(dir, "gpg-agent.conf")}
	is := func(want state) {
		t.Helper()
		if got, _, err := l.look(t.Context()); got != want || err != nil {
			t.Errorf("%v, not %v: %v", got, want, err)
		}
	}
	is(absent)
	written(t, l)
	is(present)
	l.Target = "/opt/cardctl"
	is(foreign)
	check(t, l.write(t.Context()))
	is(present)
	put(t, l.Config, daemonOption+" "+l.Path+"\n")
	check(t, l.remove(t.Context()))
	is(present)
	put(t, l.Config, "")
	check(t, l.remove(t.Context()))
	is(absent)
	if _, err := os.Stat(filepath.Join(dir, "made")); !os.IsNotExist(err) {
		t.Errorf("its directories: %v", err)
	}
	put(t, l.Path, "a program")
	if _, _, err := l.look(t.Context()); err == nil {
		t.Error("a program in its place is not told")
	}
}
