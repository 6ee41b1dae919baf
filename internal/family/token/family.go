// Package token is the family of PKCS#11 tokens, which are reached through
// their module. The calls of the module are left to package p11.
package token

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

// name is that of the family in --app, and the scheme of its URIs (RFC 7512).
const (
	name = "pkcs11"
	kind = "PKCS#11 token"
)

// Family is the kind of token.
func Family() card.Family {
	return card.Family{
		Apps: []string{name}, Kind: kind, Initialises: []string{name}, Token: true,
		Example: name + ":token=…;id=%45", Syntax: name + ":token=…;id=%45",
		Roles: []pin.Role{pin.User, pin.SO},
		Parse: parse, Name: nameKey, Open: open,
	}
}

// parse reads a URI. Its errors do not repeat what was typed: a PIN may be in it.
func parse(reference string) (key.Reference, bool, error) {
	if !p11.IsURI(reference) {
		return key.Reference{}, false, nil
	}
	_, err := p11.ParseURI(reference)
	return refer(reference), true, err
}

// refer is the key that a URI names.
func refer(uri string) key.Reference { return key.Reference{Family: name, ID: uri, Text: uri} }

// nameKey adds the ID, in hex, and the label of a key to a URI that leaves them
// open. What is empty is not added; a URI that has another one already is a
// problem.Usage.
func nameKey(ref key.Reference, id, label string) (key.Reference, error) {
	if id == "" && label == "" {
		return ref, nil
	}
	uri, err := p11.ParseURI(ref.ID)
	if err != nil {
		return ref, err
	}
	value, err := hex.DecodeString(strings.TrimPrefix(strings.TrimPrefix(id, "0x"), "0X"))
	if err != nil {
		return ref, problem.New(problem.Usage, "this is not a key ID").
			Because("An ID is given in hex, two digits per byte.")
	}
	for _, a := range []p11.Attribute{{Name: p11.AttrID, Value: string(value)}, {Name: p11.AttrObject, Value: label}} {
		field := advice.Label
		if a.Name == p11.AttrID {
			field = advice.KeyID
		}
		there, has := uri.Get(a.Name)
		switch {
		case a.Value == "" || has && there == a.Value:
		case has:
			return ref, problem.New(problem.Usage, "the new key has two names").
				Because("The %s in the URI is not the one that was given apart from it.", a.Name).
				Advise(advice.Repeat().Without(field))
		default:
			uri.Path = append(uri.Path, a)
		}
	}
	return refer(uri.String()), nil
}

// Token is a token that is meant; its session is opened when it is needed, and
// closed with the line.
type Token struct {
	line    *desk.Line
	module  *p11.Module
	uri     p11.URI
	access  key.Access
	session *p11.Session
	seen    p11.Token
	// asked is how often somebody was asked who takes time.
	asked int
}

func open(ctx context.Context, line *desk.Line, o card.Opening) (card.Card, error) {
	module, uri := line.Token()
	t := &Token{line: line, module: module, uri: uri, access: o.Access}
	line.OnClose(func() error { return t.session.Close() })
	line.Stale(func() { t.asked++ })
	return t, nil
}

// Identity is what the token says of itself, as far as it was looked at.
func (t *Token) Identity() card.Identity {
	return card.Identity{Type: kind, Serial: t.seen.Serial, Label: t.seen.Label, Applications: []card.Application{}}
}

// Number finds the token. Which one is meant may be known only to the work: then it
// tells the serial.
func (t *Token) Number(ctx context.Context) error {
	if of, err := t.module.FindToken(ctx, t.uri); err == nil && t.seen.Serial == "" {
		t.seen = of
	}
	return ctx.Err()
}

// open opens the session on the token that a URI names.
func (t *Token) open(ctx context.Context, uri p11.URI) (*p11.Session, error) {
	if t.session != nil {
		return t.session, nil
	}
	if _, told := uri.Get(p11.AttrSerial); !told && t.seen.Serial != "" {
		uri.Path = append(slices.Clone(uri.Path), p11.Attribute{Name: p11.AttrSerial, Value: t.seen.Serial})
	}
	s, err := t.module.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	s.OnPINPad(t.access.Notify)
	t.session, t.seen = s, s.Token()
	return s, nil
}

// Key is the key that a URI names. One with an ID or a label that no key has is
// an empty place, whose key will have them.
func (t *Token) Key(ctx context.Context, ref key.Reference) (key.Key, error) {
	uri, err := p11.ParseURI(ref.ID)
	if err != nil {
		return nil, err
	}
	session, err := t.open(ctx, uri)
	if err != nil {
		return nil, err
	}
	return &place{token: t, session: session, ref: ref, uri: uri, access: t.access}, nil
}

// Keys are what the token shows without a login: keys, known by their public
// half, and certificates without one.
func (t *Token) Keys(ctx context.Context) ([]key.Key, error) {
	session, err := t.open(ctx, t.uri)
	if err != nil {
		return nil, err
	}
	contents, err := session.Contents(ctx)
	if err != nil {
		return nil, session.Explain(ctx, err)
	}
	var keys []key.Key
	shown := map[string]bool{}
	here := func(uri p11.URI) *place {
		return &place{token: t, session: session, ref: refer(uri.String()), uri: uri, access: t.access, contents: &contents, complete: true}
	}
	for i := range contents.Keys {
		stored := &contents.Keys[i]
		k := here(session.URI(*stored))
		k.of = stored
		keys = append(keys, k)
		for _, c := range stored.Certificates {
			shown[string(c.DER)] = true
		}
	}
	for _, c := range contents.Certificates {
		if !shown[string(c.DER)] {
			keys = append(keys, here(session.URI(p11.StoredKey{ID: c.ID, Label: c.Label})))
		}
	}
	return keys, nil
}

// Facts are none beside keys and PINs.
func (t *Token) Facts(context.Context) ([]card.Fact, error) { return nil, nil }

// holder is what a person calls the token.
func holder(t p11.Token) string { return fmt.Sprintf("token %s", t.Label) }
