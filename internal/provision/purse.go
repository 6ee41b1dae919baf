package provision

import (
	"context"
	"slices"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/secret"
)

// purse are the secrets of one card: which ones it has now, and which ones it shall have.
type purse struct {
	w *work
	// wanted are those of the plan, by what they are called when a card is asked for them.
	wanted map[secret.Name]*wanted
	// has are the values that the card has, as far as they are known in this run.
	has map[secret.Name]*secret.Bytes
	// preset says that the card has the values of the factory, but for those in has and
	// those that the ledger knows.
	preset bool
	// next is what a PIN is being changed to, issuer whose secrets are asked for now, and
	// certificate what is asked for of it.
	next        *secret.Bytes
	issuer      *plan.Issuer
	certificate *plan.Certificate
}

// wanted is a secret that the card shall have.
type wanted struct {
	name     secret.Name
	role     pin.Role // empty for the management key
	source   plan.Source
	current  plan.Source
	generate *plan.Generate
	keep     string

	value  *secret.Bytes
	sealed int64 // in the ledger; 0 for not yet
	// tried says that an earlier run began to give it to the card, which may have it.
	tried bool
}

// sets says that the card gets another value than it has from the factory.
func (s *wanted) sets() bool { return !s.source.IsZero() || s.generate != nil }

// newPurse has the secrets of a plan for one card.
func newPurse(w *work, p *plan.Plan) *purse {
	return &purse{w: w, wanted: wantedOf(p), has: map[secret.Name]*secret.Bytes{}}
}

// wantedOf are the secrets that a card of a plan shall have.
func wantedOf(p *plan.Plan) map[secret.Name]*wanted {
	all := map[secret.Name]*wanted{}
	for role, field := range pinsOf(&p.PINs) {
		if from := *field; from != nil {
			all[role.Secret()] = &wanted{
				name: role.Secret(), role: role, source: from.Source, current: from.Current, generate: from.Generate, keep: from.Keep,
			}
		}
	}
	if key := p.ManagementKey; key != nil {
		one := &wanted{name: secret.ManagementKey, source: key.Source, current: key.Current, generate: key.Generate, keep: key.Keep}
		if key.Protect { // once it is
			one.current = plan.Source{Word: secret.StoredOnCard}
		}
		all[one.name] = one
	}
	return all
}

// pinsOf are the PINs of a plan, by what they are on a card.
func pinsOf(p *plan.PINs) map[pin.Role]**plan.Secret {
	return map[pin.Role]**plan.Secret{pin.User: &p.User, pin.Admin: &p.Admin, pin.PUK: &p.PUK, pin.SO: &p.SO, pin.ResetCode: &p.ResetCode}
}

// erased forgets what the card had before it was.
func (s *purse) erased() {
	for _, value := range s.has {
		value.Wipe()
	}
	clear(s.has)
}

// wipe overwrites everything.
func (s *purse) wipe() {
	if s == nil {
		return
	}
	s.erased()
	for _, one := range s.wanted {
		one.value.Wipe()
	}
	s.next.Wipe()
}

// ask hands out what is asked for while the card is worked on.
func (s *purse) ask(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
	switch q.Name {
	case secret.NewPIN, secret.NewManagementKey:
		return s.next.Clone(), nil
	case secret.CurrentAdminPIN:
		return s.current(ctx, secret.AdminPIN, q)
	case secret.CurrentSOPIN:
		return s.current(ctx, secret.SOPIN, q)
	case secret.CurrentManagementKey:
		return s.current(ctx, secret.ManagementKey, q)
	case secret.PIN, secret.AdminPIN, secret.PUK, secret.SOPIN, secret.ResetCode, secret.ManagementKey:
		if q.New {
			return s.first(ctx, q)
		}
		return s.current(ctx, q.Name, q)
	case secret.IssuerSecret, secret.IssuerPIN:
		return s.ofIssuer(ctx, q)
	case secret.ChallengePassword:
		if s.certificate != nil && !s.certificate.ChallengePassword.IsZero() {
			return s.w.source(ctx, q, s.certificate.ChallengePassword)
		}
	}
	return s.w.person(ctx, q)
}

// first is the value that a card without preset ones gets when it is initialised.
func (s *purse) first(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
	one := s.wanted[q.Name]
	_, later := s.w.card.(card.Preset) // it is set in the last steps
	if one == nil || !one.sets() || later {
		if q.Optional {
			return nil, nil
		}
		return s.w.person(ctx, q)
	}
	value, err := s.target(ctx, one)
	return value.Clone(), err
}

// target is the value that the card shall have, made or read once.
func (s *purse) target(ctx context.Context, one *wanted) (*secret.Bytes, error) {
	if one.value != nil {
		return one.value, nil
	}
	var err error
	if one.generate != nil {
		one.value, err = generate(one.generate, s.w.plan.ManagementKey)
	} else {
		one.value, err = s.w.source(ctx, secret.Request{Name: one.name, Label: "new " + one.name.Words()}, one.source)
	}
	return one.value, err
}

// current is the value that the card has now.
func (s *purse) current(ctx context.Context, name secret.Name, q secret.Request) (*secret.Bytes, error) {
	if value := s.has[name]; value != nil {
		return value.Clone(), nil
	}
	value, err := s.find(ctx, name, q)
	if err == nil && value != nil {
		s.has[name] = value.Clone()
	}
	return value, err
}

func (s *purse) find(ctx context.Context, name secret.Name, q secret.Request) (*secret.Bytes, error) {
	one, kept := s.wanted[name], s.w.kept(name)
	if former := s.former(name); former != nil && q.Name != name { // what it has until it is erased
		if s.w.run.o.Unseal == nil && q.Optional {
			return nil, nil
		}
		return s.w.unseal(ctx, former, q)
	}
	if value := s.factory(name, kept); value != nil {
		return value, nil
	}
	if kept != nil && len(kept.Blob) > 0 {
		return s.w.unseal(ctx, kept, q)
	}
	switch {
	case one != nil && !one.current.IsZero():
		return s.w.source(ctx, q, one.current)
	case one != nil && !one.source.IsZero():
		return s.w.source(ctx, q, one.source)
	case one != nil && one.tried:
		return one.value.Clone(), nil
	}
	return s.w.person(ctx, q)
}

// former is the secret that the ledger has from before a card came back.
func (s *purse) former(name secret.Name) *ledger.Sealed {
	for i := range slices.Backward(s.w.former) {
		if one := &s.w.former[i]; one.Kind == name && one.Set && len(one.Blob) > 0 {
			return one
		}
	}
	return nil
}

// factory is the value of the factory, if the card has it.
func (s *purse) factory(name secret.Name, kept *ledger.Sealed) *secret.Bytes {
	preset, can := s.w.card.(card.Preset)
	if !can || kept != nil && kept.Keep != ledger.KeepFactory || kept == nil && !s.preset {
		return nil
	}
	return preset.Preset(name)
}

// ready says that what the card has now is known without anybody who reads the ledger.
func (s *purse) ready(name secret.Name) bool {
	kept := s.w.kept(name)
	return s.has[name] != nil || kept == nil && s.preset || kept != nil && len(kept.Blob) == 0
}

// ofIssuer are the secrets of the issuer that certifies now.
func (s *purse) ofIssuer(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
	if s.issuer != nil {
		from := s.issuer.Secret
		if q.Name == secret.IssuerPIN {
			from = s.issuer.PIN
		}
		if !from.IsZero() {
			return s.w.run.shared(ctx, q, from)
		}
	}
	return s.w.person(ctx, q)
}
