// Package sshagent is the door of the agent for OpenSSH: the SSH agent protocol of
// draft-ietf-sshm-ssh-agent, as OpenSSH speaks it. Keys stay on their cards, so that none
// is added or removed here. The socket, and who may connect, are left to the caller.
package sshagent

import (
	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/problem"
)

// Options are what a desk may have.
type Options struct {
	// Certificates is a directory: a file *-cert.pub in it, as ssh-keygen -s makes it, is
	// an OpenSSH certificate of a user, listed while the token with its key is there.
	Certificates string
	// Log hears of what failed, for the protocol has no words for it. It is called by
	// several connections at once.
	Log func(error)
}

// Desk is what all connections share.
type Desk struct {
	tokens  agent.Tokens
	options Options
	lock    lock
}

// NewDesk is the desk of these tokens. It is not locked.
func NewDesk(tokens agent.Tokens, options Options) *Desk {
	if options.Log == nil {
		options.Log = func(error) {}
	}
	return &Desk{tokens: tokens, options: options}
}

// report logs what failed; the client is told only that it did.
func (d *Desk) report(err error, what string) { d.options.Log(problem.Wrap(problem.Failed, err, what)) }
