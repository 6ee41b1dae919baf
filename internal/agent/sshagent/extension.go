package sshagent

import (
	"golang.org/x/crypto/ssh"
)

// The extensions that are answered. query is section 3.8.1 of draft-ietf-sshm-ssh-agent,
// session-bind@openssh.com section 1 of OpenSSH's PROTOCOL.agent.
const (
	query       = "query"
	sessionBind = "session-bind@openssh.com"
)

// extended is the answer to SSH_AGENTC_EXTENSION.
func extended(request []byte) []byte {
	var message struct {
		Name     string `sshtype:"27"`
		Contents []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(request, &message) != nil {
		return done(false)
	}
	switch message.Name {
	case query:
		return ssh.Marshal(struct {
			Name       string `sshtype:"29"` // SSH_AGENT_EXTENSION_RESPONSE
			Extensions []byte `ssh:"rest"`
		}{query, ssh.Marshal(struct{ Query, SessionBind string }{query, sessionBind})})
	case sessionBind:
		if !bound(message.Contents) {
			return []byte{extensionFailure}
		}
		return done(true)
	}
	return done(false)
}

// bound reports whether a server has signed the session that a client wants to use the
// connection for. Nothing is kept of it: no key has a constraint.
func bound(contents []byte) bool {
	var binding struct {
		HostKey, Session, Signature []byte
		Forwarding                  bool
	}
	if ssh.Unmarshal(contents, &binding) != nil {
		return false
	}
	var signature ssh.Signature
	if ssh.Unmarshal(binding.Signature, &signature) != nil {
		return false
	}
	host, err := ssh.ParsePublicKey(binding.HostKey)
	return err == nil && host.Verify(binding.Session, &signature) == nil
}
