package sshagent_test

import (
	"crypto/elliptic"
	"encoding/binary"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/agent/sshagent"
	"github.com/cardctl/cardctl/test/softtoken"
)

// FuzzServe sends a desk whatever comes. What it answers is a row of whole messages.
func FuzzServe(f *testing.F) {
	ec, ed := ecKey(f, elliptic.P256()), edKey(f)
	public, err := ssh.NewPublicKey(ed.Public())
	if err != nil {
		f.Fatal(err)
	}
	sign := ssh.Marshal(struct {
		Key   []byte `sshtype:"13"`
		Data  []byte
		Flags uint32
	}{public.Marshal(), []byte("data"), 4})
	bind := ssh.Marshal(struct {
		Name                        string `sshtype:"27"`
		HostKey, Session, Signature []byte
		Forwarding                  bool
	}{"session-bind@openssh.com", public.Marshal(), []byte("session"), ssh.Marshal(ssh.Signature{Format: "ssh-ed25519", Blob: make([]byte, 64)}), false})
	f.Add(framed(11))
	f.Add(framed(sign...))
	f.Add(append(framed(bind...), framed(11)...))
	f.Add(framed(append([]byte{27}, ssh.Marshal(struct{ Name string }{"query"})...)...))
	f.Add(append(framed(22, 0, 0, 0, 1, 'a'), framed(23, 0, 0, 0, 1, 'a')...))
	f.Add(framed(25, 0, 0, 0, 11))
	f.Add([]byte{0, 4, 0, 0, 11})
	tokens := softtoken.New(card("1", keyOf("EC", ec), keyOf("ED", ed), keyOf("RSA", rsaKey())))
	f.Fuzz(func(t *testing.T, input []byte) {
		answer, _ := served(t, sshagent.NewDesk(tokens, sshagent.Options{}), input)
		for len(answer) > 0 {
			if len(answer) < 5 {
				t.Fatalf("half a message: %x", answer)
			}
			n := int(binary.BigEndian.Uint32(answer))
			if n == 0 || n > len(answer)-4 {
				t.Fatalf("a message of %d bytes: %x", n, answer)
			}
			answer = answer[4+n:]
		}
	})
}
