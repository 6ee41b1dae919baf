package sshagent

import (
	"context"
	"crypto/ecdsa"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/problem"
)

// identity is what a client sees of a key: its public key, or a certificate of it.
type identity struct {
	public  ssh.PublicKey
	comment string
	key     agent.Key
}

// identities are those of the tokens that are there now. The certificates of a key come
// before it, for a server tries few. A key that two tokens have is that of the first.
func (d *Desk) identities(ctx context.Context) []identity {
	tokens, err := d.tokens.All(ctx)
	if err != nil {
		d.report(err, "SSH agent: list the cards")
		return nil
	}
	certificates := d.certificates()
	seen := map[string]bool{}
	var all []identity
	for _, t := range tokens {
		keys, err := t.Keys(ctx)
		if err != nil {
			if !problem.Is(err, problem.CardRemoved) {
				d.report(err, "SSH agent: read the keys of "+name(t.About()))
			}
			continue
		}
		for _, k := range forLogin(keys) {
			public, ok := sshKey(k.About())
			if !ok || seen[string(public.Marshal())] {
				continue
			}
			seen[string(public.Marshal())] = true
			for _, c := range certificates[string(public.Marshal())] {
				all = append(all, identity{c.Certificate, c.comment, k})
			}
			all = append(all, identity{public, printable(k.About().Ref + " " + name(t.About())), k})
		}
	}
	return all
}

// forLogin puts keys that are meant for authentication before others.
func forLogin(keys []agent.Key) []agent.Key {
	rank := func(k agent.Key) int {
		if k.About().Place == "authentication" {
			return 0
		}
		return 1
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b agent.Key) int { return rank(a) - rank(b) })
	return keys
}

// sshKey is the public key of a key that signs in SSH.
func sshKey(about agent.KeyAbout) (ssh.PublicKey, bool) {
	if !about.Signs {
		return nil, false
	}
	if ec, ok := about.Public.(*ecdsa.PublicKey); ok {
		if _, err := ec.Bytes(); err != nil {
			return nil, false // not on its curve
		}
	}
	public, err := ssh.NewPublicKey(about.Public)
	return public, err == nil
}

// name is what a person calls a token.
func name(about agent.About) string { return strings.TrimSpace(about.Kind + " " + about.Serial) }

// printable is text that cannot begin a new line in authorized_keys, or move a cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
