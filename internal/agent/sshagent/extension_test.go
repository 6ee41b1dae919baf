package sshagent_test

import (
	"crypto/rand"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"
	sshclient "golang.org/x/crypto/ssh/agent"

	"github.com/cardctl/cardctl/internal/agent/sshagent"
	"github.com/cardctl/cardctl/test/softtoken"
)

func TestQuery(t *testing.T) {
	c := client(t, sshagent.NewDesk(softtoken.New(), sshagent.Options{}))
	answer, err := c.Extension("query", nil)
	if err != nil {
		t.Fatal(err)
	}
	var message struct {
		Name               string `sshtype:"29"`
		Query, SessionBind string
	}
	if err := ssh.Unmarshal(answer, &message); err != nil {
		t.Fatal(err)
	}
	if message.Name != "query" || message.Query != "query" || message.SessionBind != "session-bind@openssh.com" {
		t.Errorf("%+v", message)
	}
	if _, err := c.Extension("other@example.org", nil); !errors.Is(err, sshclient.ErrExtensionUnsupported) {
		t.Errorf("another extension: %v", err)
	}
}

func TestSessionBind(t *testing.T) {
	host, err := ssh.NewSignerFromSigner(edKey(t))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := host.Sign(rand.Reader, []byte("session"))
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, sshagent.NewDesk(softtoken.New(), sshagent.Options{}))
	bind := func(session string) []byte {
		return ssh.Marshal(struct {
			HostKey, Session, Signature []byte
			Forwarding                  bool
		}{host.PublicKey().Marshal(), []byte(session), ssh.Marshal(signature), true})
	}
	if answer, err := c.Extension("session-bind@openssh.com", bind("session")); err != nil || len(answer) != 1 || answer[0] != 6 {
		t.Errorf("%x, %v", answer, err)
	}
	for name, contents := range map[string][]byte{"another session": bind("other"), "nothing": nil, "cut": bind("session")[:40]} {
		if _, err := c.Extension("session-bind@openssh.com", contents); err == nil || errors.Is(err, sshclient.ErrExtensionUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
