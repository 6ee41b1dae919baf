package plan

import (
	"slices"
)

// given is one secret of the plan, whatever its kind.
type given struct {
	path             string
	source, current  bool
	generated, other bool // other is a key that the card keeps
	keep             string
}

// secrets are all that a card has afterwards.
func (p *Plan) secrets() (all []given) {
	for _, pin := range []struct {
		path   string
		secret *Secret
	}{{"user", p.PINs.User}, {"admin", p.PINs.Admin}, {"puk", p.PINs.PUK}, {"so", p.PINs.SO}, {"resetCode", p.PINs.ResetCode}} {
		if s := pin.secret; s != nil {
			all = append(all, given{"pins." + pin.path, !s.Source.IsZero(), !s.Current.IsZero(), s.Generate != nil, false, s.Keep})
		}
	}
	if k := p.ManagementKey; k != nil {
		all = append(all, given{"managementKey", !k.Source.IsZero(), !k.Current.IsZero(), k.Generate != nil, k.Protect, k.Keep})
	}
	if p.Applet != nil && p.Applet.NewCardKeys != nil {
		k := p.Applet.NewCardKeys
		all = append(all, given{"applet.newCardKeys", !k.Source.IsZero(), false, k.Generate != nil, false, k.Keep})
	}
	return all
}

// checkSecrets refuses secrets that nobody would have afterwards.
func (p *Plan) checkSecrets() error {
	for _, s := range p.secrets() {
		ways := 0
		for _, way := range []bool{s.source, s.generated, s.other} {
			if way {
				ways++
			}
		}
		switch {
		case ways > 1:
			return p.at(s.path, "%s comes from more than one source", s.path).Because("A secret has a source, or it is generated.")
		case ways == 0 && !s.current:
			return p.at(s.path, "%s has no source", s.path).Because("Give it the field source or generate.")
		case s.generated && s.keep == "":
			return p.at(s.path, "%s is generated, but kept nowhere", s.path).
				Because("Give it the field keep: letter, ledger or both.")
		case !s.generated && s.keep != "":
			return p.at(s.path+".keep", "%s is not generated", s.path).Because("Only a generated secret is kept.")
		}
	}
	return nil
}

// checkSeal refuses generated secrets that nobody could read, and recipients that are
// named twice.
func (p *Plan) checkSeal() error {
	kept := slices.IndexFunc(p.secrets(), func(s given) bool { return s.generated })
	if kept >= 0 && len(p.Seal) == 0 {
		path := p.secrets()[kept].path
		return p.at(path, "nobody could read %s", path).
			Because("A generated secret is sealed to the recipients in the field seal, and there is none.")
	}
	for i, recipient := range p.Seal {
		if slices.Contains(p.Seal[:i], recipient) {
			return mistake(p.Place("seal"), "a recipient stands in seal twice")
		}
	}
	return nil
}
