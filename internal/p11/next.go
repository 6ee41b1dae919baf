package p11

import (
	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/secret"
)

// list lists the tokens of the module.
func (m *Module) list() advice.Advice {
	return advice.Do(advice.ListTokens, advice.Set(advice.Module, m.path))
}

// listObjects lists everything on a token of the module, private keys too.
func (m *Module) listObjects() advice.Advice {
	return advice.Run("pkcs11-tool", "--module", m.path, "--login", "--list-objects")
}

// Show shows what is on a token.
func (m *Module) Show(t Token) advice.Advice {
	return advice.Do(advice.ShowCard, m.names(t)...)
}

// Rescue is what to do when a PIN of a token is blocked.
func (m *Module) Rescue(t Token, r Role) advice.Advice {
	if m.OfTPM() {
		return advice.Run("tpm2_dictionarylockout", "--clear-lockout")
	}
	if r == SecurityOfficer {
		return advice.Say("Ask the maker of the token how to reset it.")
	}
	values := append(m.names(t), advice.Ask(secret.SOPIN), advice.Ask(secret.NewPIN))
	return advice.Do(advice.UnblockPIN, values...).On("user")
}

// ReadAgain has the module read what it keeps copies of from the card again.
func (m *Module) ReadAgain() advice.Advice {
	if m.isBy(openSC) {
		return advice.Run("pkcs15-tool", "--clear-cache")
	}
	return m.list()
}

// names are the values that name a token to a command.
func (m *Module) names(t Token) []advice.Value {
	values := []advice.Value{advice.Set(advice.Module, m.path)}
	if t.Label != "" {
		values = append(values, advice.Set(advice.Token, t.Label))
	}
	return values
}

// on is the URI of what was found, on this token.
func (f Found) on(t Token) URI {
	u := t.uri()
	if len(f.ids) > 0 {
		u.Path = append(u.Path, Attribute{AttrID, string(f.ids[0])})
	}
	return u
}

// URIOfFound names what was found on the token of the session.
func (s *Session) URIOfFound() URI { return s.found.on(s.token) }
