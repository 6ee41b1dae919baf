package sshagent

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/problem"
)

// The numbers of messages: draft-ietf-sshm-ssh-agent, section 6.1. Those of messages with
// fields are the tags of these.
const (
	failure             = 5
	success             = 6
	requestIdentities   = 11
	signRequest         = 13
	addIdentity         = 17
	removeIdentity      = 18
	removeAllIdentities = 19
	addCard             = 20
	removeCard          = 21
	lockRequest         = 22
	unlockRequest       = 23
	addConstrained      = 25
	addCardConstrained  = 26
	extension           = 27
	extensionFailure    = 28
)

// client is who is served. present ends when it hangs up.
type client struct {
	agent.Client

	present context.Context
}

// Serve answers one client, one request after the other, until it hangs up or ctx ends,
// which is when the caller closes conn. by is that client. A client that stops in the
// middle of a message, or reads no answer, is given up if conn has deadlines.
func Serve(ctx context.Context, conn io.ReadWriter, d *Desk, by agent.Client) error {
	present, hangUp := context.WithCancel(ctx)
	defer hangUp()
	requests, ended := make(chan []byte), make(chan error, 1)
	go func() { // ends when the caller closes conn
		ended <- receive(ctx, conn, requests)
		hangUp()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return failed(ctx, err)
		case request := <-requests:
			answer := d.answer(ctx, client{by, present}, request)
			clear(request) // it may hold a passphrase
			if err := writeMessage(conn, answer); err != nil && present.Err() == nil {
				return failed(ctx, err)
			}
		}
	}
}

// receive reads requests one ahead, so that a client which hangs up is noticed while it waits
// for an answer.
func receive(ctx context.Context, conn io.Reader, requests chan<- []byte) error {
	for {
		request, err := readMessage(conn)
		if err != nil {
			return err
		}
		select {
		case requests <- request:
		case <-ctx.Done():
			clear(request)
			return ctx.Err()
		}
	}
}

// failed is the error of a connection: none for its end, and that of ctx where it has ended.
func failed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		return nil
	}
	return fmt.Errorf("SSH agent: %w", err)
}

// answer is the message that answers one. While the desk is locked nothing is done but
// unlocking it, and there are no keys.
func (d *Desk) answer(ctx context.Context, by client, request []byte) []byte {
	kind := request[0]
	switch locked := d.lock.closed(); {
	case kind == unlockRequest:
		return done(d.unlock(request))
	case kind == requestIdentities && locked:
		return listed(nil)
	case locked:
		return done(false)
	}
	switch kind {
	case requestIdentities:
		return listed(d.identities(ctx))
	case signRequest:
		return d.sign(ctx, by, request)
	case lockRequest:
		return done(d.lockUp(request))
	case extension:
		return extended(request)
	case addIdentity, addCard:
		d.refuse("add a key", "The agent has the keys of its cards only.")
	case addConstrained, addCardConstrained:
		d.refuse("add a key with constraints", "The agent has the keys of its cards only, without a lifetime or destinations.")
	case removeIdentity, removeAllIdentities, removeCard:
		d.refuse("remove a key", "Remove the card from its reader, or lock the agent with ssh-add -x.")
	}
	return done(false)
}

// refuse logs why a request is refused that other agents know.
func (d *Desk) refuse(what, why string) {
	d.options.Log(problem.New(problem.NotSupported, "SSH agent: a program asked to %s", what).Because("%s", why))
}

// done is the answer to what needs no other.
func done(ok bool) []byte {
	if ok {
		return []byte{success}
	}
	return []byte{failure}
}

// listed is the answer with the identities, as many as a message holds.
func listed(identities []identity) []byte {
	var list []byte
	var count uint32
	for _, i := range identities {
		entry := ssh.Marshal(struct {
			Key     []byte
			Comment string
		}{i.public.Marshal(), i.comment})
		if len(list)+len(entry) > maxMessage-5 {
			break
		}
		list = append(list, entry...)
		count++
	}
	return ssh.Marshal(struct {
		Count uint32 `sshtype:"12"` // SSH_AGENT_IDENTITIES_ANSWER
		List  []byte `ssh:"rest"`
	}{count, list})
}
