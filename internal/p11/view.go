package p11

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
)

// View is a token and what programs see of it.
type View struct {
	token    Token
	module   *Module
	contents *Contents
	// alone names the token and no other; the zero URI where that cannot be.
	alone URI
	// hides says that it shows private keys only after a login.
	hides bool
}

// View is that of the token of the session, of which everything was read.
func (s *Session) View(everything *Contents) View {
	return View{s.token, s.module, everything, s.alone, s.token.LoginRequired && !s.loggedIn}
}

// Views are what a module shows in one reader.
type Views struct {
	// Module is the file that was loaded.
	Module string
	tokens []View
}

// Views reads the tokens in a reader without a login, one call an object.
func (m *Module) Views(ctx context.Context, reader string) (Views, error) {
	views := Views{Module: m.path}
	tokens, err := m.States(ctx)
	if err != nil {
		return views, err
	}
	here, err := m.ofReader(ctx, reader, tokens)
	if err != nil {
		return views, err
	}
	for _, t := range here {
		if !t.Initialized {
			continue
		}
		v, err := m.view(ctx, t, tokens)
		if err != nil {
			return views, err
		}
		views.tokens = append(views.tokens, v)
	}
	return views, nil
}

// view is that of one of the tokens.
func (m *Module) view(ctx context.Context, t Token, tokens []Token) (View, error) {
	s, err := m.open(ctx, t)
	if err != nil {
		return View{}, err
	}
	s.alone = m.naming(t, tokens)
	contents, err := s.Contents(ctx)
	return s.View(&contents), errors.Join(err, s.Close())
}

// KnownAs is what programs call a key of a card. It is found by its public half on the one
// token that shows that; else by id on the one token that is the card's and, where
// Wanted has the label of one, that of its PIN. id is nil where that is not certain.
func (vs Views) KnownAs(w Wanted, id []byte) KnownAs {
	known := KnownAs{Module: vs.Module, Unnamed: notShown}
	holder := -1
	switch showing := vs.that(func(v *View) bool { return v.key(w.Public) != nil }); {
	case len(showing) == 1:
		holder = showing[0]
		known = vs.tokens[holder].KnownAs(w.Public)
	case len(showing) > 1:
		known.Unnamed = onSeveral
	case id != nil:
		of := vs.that(func(v *View) bool { return v.token.IsCard(w.Serial) && (w.Token == "" || v.token.IsCalled(w.Token)) })
		if len(of) == 1 && vs.tokens[of[0]].hides {
			holder = of[0]
			known = vs.tokens[holder].knownAs(&StoredKey{ID: id, Public: w.Public, names: []name{{id: id}}})
		}
	}
	named, _ := hex.DecodeString(known.Handle) // it is hex
	if len(vs.that(func(v *View) bool { return v.matching(part{id: named, byID: true}, &StoredKey{}) > 0 })) > 1 {
		known.Handle = "" // programs that look for it on every token
	}
	return known
}

// that are the numbers of the tokens of which something is so.
func (vs Views) that(is func(*View) bool) []int {
	var list []int
	for i := range vs.tokens {
		if is(&vs.tokens[i]) {
			list = append(list, i)
		}
	}
	return list
}

// SerializedID names a certificate to OpenVPN, empty where not one object has it.
func (vs Views) SerializedID(der []byte) string {
	found := ""
	for i := range vs.tokens {
		v := &vs.tokens[i]
		for n := range v.contents.Certificates {
			c := &v.contents.Certificates[n]
			if !bytes.Equal(c.DER, der) {
				continue
			}
			if found != "" {
				return ""
			}
			found = v.SerializedID(c)
		}
	}
	return found
}
