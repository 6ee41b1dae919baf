// Package softtoken stands in for cards behind the doors of the agent: its keys are in
// memory.
package softtoken

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"sync"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Desk is agent.Tokens.
type Desk struct {
	mu      sync.Mutex
	tokens  []agent.Token
	version uint64
	changed chan struct{}
}

// New is a desk with these tokens.
func New(tokens ...*Token) *Desk {
	d := &Desk{changed: make(chan struct{})}
	for _, t := range tokens {
		d.Insert(t)
	}
	return d
}

// Insert puts a token in.
func (d *Desk) Insert(t *Token) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens = append(d.tokens, t)
	d.change()
}

// Remove takes a token out.
func (d *Desk) Remove(t *Token) {
	t.mu.Lock()
	t.gone = true
	t.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens = slices.DeleteFunc(slices.Clone(d.tokens), func(other agent.Token) bool { return other == agent.Token(t) })
	d.change()
}

func (d *Desk) change() {
	d.version++
	close(d.changed)
	d.changed = make(chan struct{})
}

// All is that of agent.Tokens.
func (d *Desk) All(context.Context) ([]agent.Token, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tokens), nil
}

// Version is that of agent.Tokens.
func (d *Desk) Version() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.version
}

// Wait is that of agent.Tokens.
func (d *Desk) Wait(ctx context.Context, before uint64) error {
	for {
		d.mu.Lock()
		version, changed := d.version, d.changed
		d.mu.Unlock()
		if version != before {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Token is agent.Token.
type Token struct {
	What agent.About
	// Has are its data objects.
	Has map[uint32][]byte
	// Answer is what the next uses and logins end with; nil for success.
	Answer error

	mu     sync.Mutex
	keys   []*Key
	gone   bool
	ready  bool
	logins int
	uses   int
	by     []agent.Client
}

// Key is agent.Key.
type Key struct {
	What    agent.KeyAbout
	Private crypto.PrivateKey // *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey or *ecdh.PrivateKey
	// LoggedIn says that a login was one with this key.
	LoggedIn bool

	token *Token
}

// With adds keys.
func (t *Token) With(keys ...*Key) *Token {
	for _, k := range keys {
		k.token = t
	}
	t.keys = append(t.keys, keys...)
	return t
}

// About is that of agent.Token.
func (t *Token) About() agent.About { return t.What }

// Keys is that of agent.Token.
func (t *Token) Keys(context.Context) ([]agent.Key, error) {
	if err := t.there(); err != nil {
		return nil, err
	}
	var keys []agent.Key
	for _, k := range t.keys {
		keys = append(keys, k)
	}
	return keys, nil
}

// Objects is that of agent.Token.
func (t *Token) Objects(context.Context) (map[uint32][]byte, error) { return t.Has, t.there() }

func (t *Token) there() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return problem.New(problem.CardRemoved, "the card was removed")
	}
	return nil
}

// use counts a login or a use of a key.
func (t *Token) use(by agent.Client, count *int) error {
	if err := t.there(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	*count++
	t.by = append(t.by, by)
	t.ready = t.Answer == nil
	return t.Answer
}

// Ready is that of agent.Token.
func (t *Token) Ready() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready
}

// Forget is that of agent.Token.
func (t *Token) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready = false
}

// Counts are how many logins and uses of keys there were, and by whom.
func (t *Token) Counts() (logins, uses int, by []agent.Client) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.logins, t.uses, slices.Clone(t.by)
}

// About is that of agent.Key.
func (k *Key) About() agent.KeyAbout { return k.What }

// Login is that of agent.Key.
func (k *Key) Login(_ context.Context, by agent.Client) error {
	k.LoggedIn = true
	return k.token.use(by, &k.token.logins)
}

// Sign is that of agent.Key.
func (k *Key) Sign(_ context.Context, by agent.Client, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := k.token.use(by, &k.token.uses); err != nil {
		return nil, err
	}
	signer, ok := k.Private.(crypto.Signer)
	if !ok {
		return nil, problem.New(problem.NotSupported, "the key cannot sign")
	}
	return signer.Sign(rand.Reader, digest, opts)
}

// Decrypt is that of agent.Key.
func (k *Key) Decrypt(_ context.Context, by agent.Client, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if err := k.token.use(by, &k.token.uses); err != nil {
		return nil, err
	}
	private, ok := k.Private.(*rsa.PrivateKey)
	if !ok {
		return nil, problem.New(problem.NotSupported, "the key cannot decrypt")
	}
	return private.Decrypt(rand.Reader, ciphertext, opts)
}

// Derive is that of agent.Key.
func (k *Key) Derive(_ context.Context, by agent.Client, peer crypto.PublicKey) ([]byte, error) {
	if err := k.token.use(by, &k.token.uses); err != nil {
		return nil, err
	}
	theirs, err := pubkey.Agreement(peer)
	if err != nil {
		return nil, err
	}
	switch private := k.Private.(type) {
	case *ecdh.PrivateKey:
		return private.ECDH(theirs)
	case *ecdsa.PrivateKey:
		own, err := private.ECDH()
		if err != nil {
			return nil, err
		}
		return own.ECDH(theirs)
	}
	return nil, problem.New(problem.NotSupported, "the key cannot derive")
}
