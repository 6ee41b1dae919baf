package p11

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Open opens a session on the one token that the URI names. Where several
// tokens match, the one that shows the key is meant; the error lists them where
// none or more of them do. It does not log in; the caller closes the session.
func (m *Module) Open(ctx context.Context, u URI) (*Session, error) {
	if name, ok := u.unknown(); ok {
		return nil, unknownAttribute(name)
	}
	tokens, err := m.candidates(ctx, u)
	if err != nil {
		return nil, err
	}
	candidates, blank := m.matching(u, tokens)
	switch {
	case len(candidates) == 0:
		return nil, m.noInitialized(u, blank, tokens)
	case len(candidates) > 1 && !u.NamesKey():
		return nil, m.severalTokens(candidates)
	}
	s, err := m.openShowing(ctx, u, candidates)
	if err == nil {
		s.alone = m.naming(s.token, tokens)
	}
	return s, err
}

// naming names a token of these as programs do, and no other one of them; the zero URI
// where that cannot be. Label and serial number are enough for most: what else a token
// says of itself depends on the version of its module.
func (m *Module) naming(t Token, tokens []Token) URI {
	whole := t.uri()
	brief := URI{Path: slices.DeleteFunc(slices.Clone(whole.Path), func(a Attribute) bool { return a.Name == AttrManufacturer || a.Name == AttrModel })}
	for _, u := range []URI{brief, whole} {
		_, bySerial := u.Get(AttrSerial)
		names := func(other Token) bool { return other.Slot != t.Slot && m.matches(u, other) }
		if (bySerial || len(u.Path) == len(whole.Path)) && !slices.ContainsFunc(tokens, names) {
			return u
		}
	}
	return URI{}
}

// matching are the tokens that the URI can mean: those that are initialised,
// and those that are not.
func (m *Module) matching(u URI, tokens []Token) (initialized, blank []Token) {
	for _, t := range tokens {
		switch {
		case !m.matches(u, t):
		case t.Initialized:
			initialized = append(initialized, t)
		default:
			blank = append(blank, t)
		}
	}
	return initialized, blank
}

func (m *Module) noInitialized(u URI, blank, tokens []Token) error {
	if len(blank) == 1 {
		return m.notInitialized(blank[0])
	}
	return m.noToken(Wanted{URI: u}, tokens)
}

// openShowing opens the only candidate, or else the one that shows the key.
func (m *Module) openShowing(ctx context.Context, u URI, candidates []Token) (*Session, error) {
	if len(candidates) == 1 {
		return m.open(ctx, candidates[0])
	}
	var seen []Token
	for _, t := range candidates {
		s, err := m.open(ctx, t)
		if err != nil {
			return nil, err
		}
		contents, err := s.Named(ctx, u, nil)
		if cerr := s.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, err
		}
		if len(contents.Named(u)) > 0 {
			seen = append(seen, s.token)
		}
	}
	switch {
	case len(seen) == 0:
		return nil, m.severalTokens(candidates)
	case !sameCard(seen):
		return nil, m.severalTokens(seen)
	}
	s, err := m.open(ctx, seen[0])
	if err != nil {
		return nil, err
	}
	s.others = seen[1:]
	return s, nil
}

// FindToken is the one token that the URI names, initialised or not. Where it
// names nothing, that is the only one that is not initialised, or else the only
// one. The problem.NotFound lists the candidates where there are several.
func (m *Module) FindToken(ctx context.Context, u URI) (Token, error) {
	if name, ok := u.unknown(); ok {
		return Token{}, unknownAttribute(name)
	}
	tokens, err := m.present(ctx, m.state)
	if err != nil {
		return Token{}, err
	}
	initialized, blank := m.matching(u, tokens)
	all := append(initialized, blank...)
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return Token{}, m.noToken(Wanted{URI: u}, tokens)
	case len(u.Path) == 0 && len(blank) == 1:
		return blank[0], nil
	}
	return Token{}, m.severalTokens(all)
}

// FindInitialized is the one initialised token that the URI names.
func (m *Module) FindInitialized(ctx context.Context, u URI) (Token, error) {
	if name, ok := u.unknown(); ok {
		return Token{}, unknownAttribute(name)
	}
	tokens, err := m.present(ctx, m.state)
	if err != nil {
		return Token{}, err
	}
	switch initialized, blank := m.matching(u, tokens); len(initialized) {
	case 0:
		return Token{}, m.noInitialized(u, blank, tokens)
	case 1:
		return initialized[0], nil
	default:
		return Token{}, m.severalTokens(initialized)
	}
}

func unknownAttribute(name string) error {
	return problem.New(problem.Usage, "PKCS#11 URI: unknown attribute %s", name).
		Because("RFC 7512 does not define it, so it matches nothing.").
		Advise(advice.Do(advice.ListTokens))
}

func (m *Module) severalTokens(tokens []Token) error {
	var list []string
	for i, t := range tokens {
		isTwin := func(other Token) bool { return other.Initialized && other.URI == t.URI }
		switch {
		case !t.Initialized:
			list = append(list, fmt.Sprintf("pkcs11:slot-id=%d (not initialised)", t.Slot))
		case slices.ContainsFunc(slices.Concat(tokens[:i], tokens[i+1:]), isTwin):
			list = append(list, fmt.Sprintf("%s;slot-id=%d", t.URI, t.Slot))
		default:
			list = append(list, t.URI)
		}
	}
	return problem.New(problem.NotFound, "%s has several tokens that match", m.name()).
		Because("Tokens: %s.", strings.Join(list, ", ")).
		Advise(m.list())
}

func (m *Module) notInitialized(t Token) *problem.Error {
	return problem.New(problem.NotFound, "%s: the token in slot %d is not initialised", m.name(), t.Slot).
		Because("The token has no label, PINs or keys yet.").
		Advise(advice.Do(advice.Initialise, advice.Set(advice.App, "pkcs11"), advice.Set(advice.Module, m.path),
			advice.Set(advice.Token, fmt.Sprintf("pkcs11:slot-id=%d", t.Slot)), advice.Fill(advice.Label)))
}
