package sshagent

import (
	"crypto/rand"
	"crypto/subtle"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/ssh"
)

// lock is that of ssh-add -x. It keeps a hash of the passphrase, slow to make, and tries
// are made one after the other.
type lock struct {
	trying sync.Mutex
	sealed atomic.Pointer[passphrase] // nil while it is open
}

// passphrase is what is kept of one.
type passphrase struct {
	salt [16]byte
	hash []byte
}

func (p *passphrase) of(text []byte) []byte { return argon2.IDKey(text, p.salt[:], 8, 8<<10, 1, 32) }

func (l *lock) closed() bool { return l.sealed.Load() != nil }

// close locks it, if it is open.
func (l *lock) close(text []byte) bool {
	l.trying.Lock()
	defer l.trying.Unlock()
	if l.closed() {
		return false
	}
	p := &passphrase{}
	_, _ = rand.Read(p.salt[:]) // never fails
	p.hash = p.of(text)
	l.sealed.Store(p)
	return true
}

// open unlocks it, if it is locked with this passphrase.
func (l *lock) open(text []byte) bool {
	l.trying.Lock()
	defer l.trying.Unlock()
	p := l.sealed.Load()
	if p == nil {
		return false
	}
	hash := p.of(text)
	defer clear(hash)
	if subtle.ConstantTimeCompare(hash, p.hash) != 1 {
		return false
	}
	l.sealed.Store(nil)
	clear(p.hash)
	return true
}

// lockUp is SSH_AGENTC_LOCK.
func (d *Desk) lockUp(request []byte) bool {
	var message struct {
		Passphrase []byte `sshtype:"22"`
	}
	return ssh.Unmarshal(request, &message) == nil && d.lock.close(message.Passphrase)
}

// unlock is SSH_AGENTC_UNLOCK.
func (d *Desk) unlock(request []byte) bool {
	var message struct {
		Passphrase []byte `sshtype:"23"`
	}
	return ssh.Unmarshal(request, &message) == nil && d.lock.open(message.Passphrase)
}
