package p11

import (
	"context"
	"crypto"
	"crypto/rsa"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// descriptionSize is the length in bytes of a slot's description (PKCS#11 2.40,
// 5.4): a longer name of a reader is cut there.
const descriptionSize = 64

// InReader reports whether the slot is described by the PC/SC name of a reader,
// as OpenSC and most modules for cards describe theirs.
func (t Token) InReader(name string) bool { return describes(t.SlotDescription, name) }

func describes(slot, reader string) bool {
	if len(reader) > descriptionSize {
		reader = reader[:descriptionSize]
	}
	return trim(reader) != "" && trim(slot) == trim(reader)
}

// ofReader are the tokens in a reader. A module that does not name its slots by
// their readers, as Scute does not, leaves it open; one that does, and shows no
// token in this reader, has none to offer, whatever is in the others.
func (m *Module) ofReader(ctx context.Context, reader string, tokens []Token) ([]Token, error) {
	if reader == "" {
		return tokens, nil
	}
	here := slices.DeleteFunc(slices.Clone(tokens), func(t Token) bool { return !t.InReader(reader) })
	if len(here) > 0 {
		return here, nil
	}
	named, err := m.namesReader(ctx, reader)
	if err != nil || named {
		return nil, err
	}
	return tokens, nil
}

// namesReader reports whether a slot has the name of the reader, with a token in
// it or without.
func (m *Module) namesReader(ctx context.Context, reader string) (bool, error) {
	return call(ctx, m, "C_GetSlotInfo", func() (bool, error) {
		slots, err := m.library.allSlots()
		if err != nil {
			return false, err
		}
		for _, slot := range slots {
			info, err := m.library.slotInfo(slot)
			switch {
			case CodeOf(err).isGone(): // since the list was made
			case err != nil:
				return false, err
			case describes(info.description, reader):
				return true, nil
			}
		}
		return false, nil
	})
}

// Suits refuses a key with this public half that the module cannot use; nil is one that is
// not known.
func Suits(module string, public crypto.PublicKey) error {
	if _, is := public.(*rsa.PublicKey); is || public == nil || !OnlyRSA(module) {
		return nil
	}
	return problem.New(problem.NotSupported, "%s uses RSA keys only", module).
		Because("Scute 1.5 does not show other keys. Scute 1.7 shows them, but its signatures with them fail or are wrong.").
		Advise(advice.Repeat(advice.Set(advice.Module, "opensc")))
}

// OnlyRSA reports whether a module uses RSA keys only, as Scute does.
func OnlyRSA(module string) bool { return isScute(module) }

func isScute(module string) bool { return strings.Contains(filepath.Base(module), "scute") }

// HoldsCard reports whether a module takes the card to itself as soon as it is
// loaded: Scute starts GnuPG's agent, which does.
func HoldsCard(module string) bool { return isScute(module) }
