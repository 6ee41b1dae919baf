// Package lend gives a key to another program: the key is read from its card, the card
// is let go while the program uses it, and the PIN goes to the program once, by the
// policy.
package lend

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Key is a key that another program is to use, as its card tells of it.
type Key struct {
	Ref string
	// Module is the PKCS#11 module that the program loads, a name or a path.
	Module string
	// Reader is the one with the card, Holder what programs know the key by. URI names a
	// key that only the module tells of.
	Reader string
	Holder key.Holder
	URI    p11.URI
	// Public and Certificate are those of the card; nil for a token, Certificate also
	// if there is none.
	Public      crypto.PublicKey
	Certificate *cert.Certificate

	// Policy sends the PIN.
	Policy *pin.Policy
	// Leave lets the card go for longer than for a program that works on it now. Still
	// tells whether it is the same card, and there.
	Leave func() error
	Still func(context.Context) error
	// EachUse tells whether each use of the key needs the PIN.
	EachUse func(context.Context) (bool, error)
	// Beside reads the certificates of all keys of the card, also of this one.
	Beside func(context.Context) ([]*cert.Certificate, error)

	desk  *desk.Desk
	pin   pin.PIN
	letGo func() error
}

// With reads a key from its card, and works while the card is let go. Stored reads the
// certificate of a key, in DER.
func With(ctx context.Context, d *desk.Desk, a desk.Access, ref, module string, stored func(context.Context, key.Key) ([]byte, error), work func(context.Context, *Key) error) error {
	parsed, f, err := family.Parse(ref)
	if err != nil {
		return err
	}
	k := &Key{Ref: parsed.String(), Module: cmp.Or(module, desk.DefaultModule), desk: d, Leave: func() error { return nil }, Still: func(context.Context) error { return nil }}
	if f.Token {
		if k.URI, err = p11.ParseURI(k.Ref); err != nil {
			return err
		}
		k.Module = cmp.Or(module, k.URI.Module(), desk.DefaultModule)
		k.Policy = family.Policy(a)
		k.Beside = func(context.Context) ([]*cert.Certificate, error) { return nil, nil }
		k.EachUse = func(context.Context) (bool, error) { return false, nil }
		return work(ctx, k)
	}
	return family.WithKey(ctx, d, ref, a, func(ctx context.Context, here family.At, own key.Key) error {
		if err := k.read(ctx, here, own, stored); err != nil {
			return err
		}
		return work(ctx, k)
	})
}

// Unseen is the error of a card that is simulated in this program.
func Unseen(place string) *problem.Error {
	return problem.New(problem.NotSupported, "other programs do not see an in-process simulated card").
		Because("They see only the cards in PC/SC readers, virtual ones included.").
		Advise(advice.Do(advice.AttachSimulated).On(strings.TrimPrefix(place, desk.SimulatedPrefix)))
}

// read reads the key from its card, and lets that go.
func (k *Key) read(ctx context.Context, here family.At, own key.Key, stored func(context.Context, key.Key) ([]byte, error)) (err error) {
	if here.Line.Reader() == "" {
		return Unseen(here.Place)
	}
	k.Reader, k.Policy, k.letGo, k.Leave = here.Line.Reader(), here.Keys.Policy, here.Line.Release, here.Line.LetGo
	if p11.HoldsCard(k.Module) {
		k.letGo = here.Line.LetGo
	}
	k.Still = func(ctx context.Context) error {
		_, err := here.Line.Channel(ctx)
		return errors.Join(err, k.letGo())
	}
	k.EachUse = func(ctx context.Context) (bool, error) {
		occupant, err := own.Occupant(ctx)
		return occupant != nil && occupant.EachUse(), errors.Join(err, k.letGo())
	}
	k.Beside = func(ctx context.Context) ([]*cert.Certificate, error) {
		all, err := certificatesOn(ctx, here.Card, stored)
		return all, errors.Join(err, k.letGo())
	}
	if k.Holder, err = own.Holder(ctx); err != nil {
		return err
	}
	if k.Public, err = own.Public(ctx); err != nil {
		return err
	}
	if k.Certificate, err = certificateOf(ctx, own, stored); err != nil {
		return err
	}
	if k.pin, err = own.PIN(ctx, key.ToUse); err != nil {
		return err
	}
	if tries := k.pin.Tries; tries != nil {
		k.pin.Tries = func(ctx context.Context, again bool) (pin.Tries, error) {
			left, err := tries(ctx, again)
			return left, errors.Join(err, k.letGo())
		}
	}
	return k.letGo()
}

// certificateOf is the certificate of a key, nil if there is none, or no place for one.
func certificateOf(ctx context.Context, k key.Key, stored func(context.Context, key.Key) ([]byte, error)) (*cert.Certificate, error) {
	der, err := stored(ctx, k)
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.NotSupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return cert.Parse(der)
}

// certificatesOn are those of all keys of a card.
func certificatesOn(ctx context.Context, c card.Card, stored func(context.Context, key.Key) ([]byte, error)) ([]*cert.Certificate, error) {
	keys, err := c.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var all []*cert.Certificate
	for _, k := range keys {
		one, err := certificateOf(ctx, k, stored)
		if err != nil {
			return nil, err
		}
		if one != nil {
			all = append(all, one)
		}
	}
	return all, nil
}

// Through works on the token that has the key, through the module, without a login.
func (k *Key) Through(ctx context.Context, work func(*p11.Module, *p11.Session) error) error {
	if err := p11.Suits(k.Module, k.Public); err != nil {
		return err
	}
	m, err := k.desk.Modules.Load(ctx, k.Module, k.Holder.Driver)
	if err != nil {
		return err
	}
	wanted, _ := Wanted(k.Reader, k.Holder, k.Public)
	wanted.URI = k.URI
	found, err := m.Find(ctx, wanted)
	if err != nil {
		if gone := k.Still(ctx); problem.Is(err, problem.NotFound) && problem.Gone(gone) {
			err = gone
		}
		return errors.Join(err, m.Close())
	}
	if err := p11.Suits(k.Module, found.Found().Public); err != nil { // of a token
		return errors.Join(err, found.Close(), m.Close())
	}
	return errors.Join(work(m, found), found.Close(), m.Close())
}

// Wanted is what a key of a card is found by, and its ID on the token of its PIN; nil
// where it is not known which token that is.
func Wanted(reader string, h key.Holder, public crypto.PublicKey) (w p11.Wanted, id []byte) {
	w = p11.Wanted{Reader: reader, Serial: h.Serial, Token: h.Token, Public: public}
	if h.SeveralPINs && h.Token == "" {
		return w, nil
	}
	return w, h.CertificateID
}

// KnownAs is what programs that use the module call the key with this public half.
// Without a URI, they cannot name it.
func (k *Key) KnownAs(ctx context.Context, m *p11.Module, public crypto.PublicKey) (p11.KnownAs, error) {
	if k.Reader == "" {
		return k.knownOnToken(ctx, m, public)
	}
	views, err := m.Views(ctx, k.Reader)
	return views.KnownAs(Wanted(k.Reader, k.Holder, public)), err
}

func (k *Key) knownOnToken(ctx context.Context, m *p11.Module, public crypto.PublicKey) (p11.KnownAs, error) {
	s, err := m.Open(ctx, k.URI)
	if err != nil {
		return p11.KnownAs{}, err
	}
	contents, err := s.Contents(ctx)
	view := s.View(&contents)
	return view.KnownAs(public), errors.Join(err, s.Close())
}

// AskedOnce refuses a key that needs its PIN for every use, for a program that stays
// connected.
func (k *Key) AskedOnce(ctx context.Context, program string) error {
	each, err := k.EachUse(ctx)
	if err == nil && each {
		err = problem.New(problem.NotSupported, "%s needs the PIN for every use", k.Ref).
			Because("%s uses a key again and again while it is connected. The PIN would be sent each time.", program).
			Advise(advice.Repeat(advice.Fill(advice.Key)))
	}
	return err
}

// NeedsDriver reports whether OpenSC shows the key to a program only if that is told the
// driver of the card, as with a card that has several applications.
func (k *Key) NeedsDriver(ctx context.Context) (bool, error) {
	if k.Holder.Driver == "" {
		return false, nil
	}
	m, err := k.desk.Modules.Load(ctx, k.Module, "")
	if err != nil {
		return false, err
	}
	wanted, _ := Wanted(k.Reader, k.Holder, k.Public)
	s, err := m.Find(ctx, wanted)
	needs := problem.Is(err, problem.NotFound)
	if err == nil {
		needs = s.Found().Public == nil && len(s.Found().Certificates) == 0
		err = s.Close()
	} else if needs {
		err = nil
	}
	return needs, errors.Join(err, m.Close())
}

// Told is what the card tells of the PIN of the key. It has no tries for a token.
func (k *Key) Told() pin.PIN { return k.pin }

// SendPIN gives the PIN of the key to a program, by the policy. The token accepted it
// before, so that a program that logs in to several tokens, or again and again, uses up no
// tries.
func (k *Key) SendPIN(ctx context.Context, use func(context.Context, *secret.Bytes) error) error {
	own, err := k.PIN(ctx)
	if err != nil {
		return err
	}
	return k.Policy.Send(ctx, own, func(ctx context.Context, value *secret.Bytes) error {
		if err := k.logIn(ctx, value); err != nil {
			return err
		}
		return use(ctx, value)
	})
}

// Accepts sends a value of the PIN to the token, once, by the policy.
func (k *Key) Accepts(ctx context.Context, value *secret.Bytes) error {
	own, err := k.PIN(ctx)
	if err != nil {
		return err
	}
	return k.Policy.Given(value).Send(ctx, own, k.logIn)
}

func (k *Key) logIn(ctx context.Context, value *secret.Bytes) error {
	return k.Through(ctx, func(_ *p11.Module, s *p11.Session) error { return s.LoginWith(ctx, p11.User, value) })
}

// PIN is the PIN of the key. A token whose PIN a program cannot be given is
// problem.NotSupported.
func (k *Key) PIN(ctx context.Context) (own pin.PIN, err error) {
	own = k.pin
	err = k.Through(ctx, func(m *p11.Module, s *p11.Session) error {
		if err := k.mayLogIn(s.Token()); err != nil {
			return err
		}
		if own.Tries == nil {
			own = family.TokenPIN(k.desk, m, s)
			own.Tries = k.triesOfToken
		}
		return nil
	})
	return own, err
}

func (k *Key) triesOfToken(ctx context.Context, again bool) (left pin.Tries, err error) {
	err = k.Through(ctx, func(m *p11.Module, s *p11.Session) error {
		left, err = family.TokenPIN(k.desk, m, s).Tries(ctx, again)
		return err
	})
	return left, err
}

// mayLogIn refuses tokens whose PIN a program cannot be given, or not be given for
// certain.
func (k *Key) mayLogIn(t p11.Token) error {
	switch {
	case t.PINPad:
		return problem.New(problem.NotSupported, "the PIN of the token %q is entered on the reader", t.Label).
			Because("cardctl cannot give it to another program.").Advise(advice.Do(advice.ListTokens))
	case k.pin.Derived:
		return problem.New(problem.NotSupported, "the user PIN cannot be sent through a PKCS#11 module").
			Because("The card expects its PINs in key derived format (KDF). It would count a correct PIN as wrong.").
			Advise(advice.Do(advice.ShowCard))
	case k.Holder.SeveralPINs && !t.IsCalled(k.Holder.Token):
		return problem.New(problem.TriesUnknown, "it is not known which of the card's PINs the token %q needs, and none was sent", t.Label).
			Because("The key needs the %s. Sent instead of another PIN, it would use up a try of that PIN.", k.pin.Name()).
			Advise(advice.Do(advice.ListTokens))
	}
	return nil
}

// Alone refuses a program that logs in to every token of the module, if another card or
// token is there: it might get the PIN.
func (k *Key) Alone(ctx context.Context) error {
	var own p11.Token
	if err := k.Through(ctx, func(_ *p11.Module, s *p11.Session) error { own = s.Token(); return nil }); err != nil {
		return err
	}
	m, err := k.desk.Modules.Load(ctx, k.Module, "") // the program sees cards of every kind
	if err != nil {
		return err
	}
	tokens, err := m.States(ctx)
	if err = errors.Join(err, m.Close()); err != nil {
		return err
	}
	for _, t := range tokens {
		if !t.Initialized || !t.LoginRequired {
			continue
		}
		switch card := t.Serial == own.Serial && t.SlotDescription == own.SlotDescription; {
		case card && k.Holder.SeveralPINs && t.Label != own.Label:
			return problem.New(problem.NotSupported, "the program might send the PIN to the token %q", t.Label).
				Because("The card has several PINs, and the program logs in to every token of a module.")
		case !card && t.Slot != own.Slot:
			return problem.New(problem.NotFound, "another card or token is there: %q", t.Label).
				Because("The program logs in to every token of the module, and might send the PIN to that one. Remove the other card.").
				Advise(advice.Do(advice.ListReaders))
		}
	}
	return nil
}

// OnlyOne refuses a program that finds the key by its public half, if another card or
// token has that too: it might get the PIN.
func (k *Key) OnlyOne(ctx context.Context, public crypto.PublicKey) error {
	driver := "" // the program sees cards of every kind, if it does not need to be told one
	if needs, err := k.NeedsDriver(ctx); err != nil {
		return err
	} else if needs {
		driver = k.Holder.Driver
	}
	m, err := k.desk.Modules.Load(ctx, k.Module, driver)
	if err != nil {
		return err
	}
	found, err := m.Find(ctx, p11.Wanted{Public: public})
	if err != nil {
		return errors.Join(err, m.Close())
	}
	return errors.Join(found.Close(), m.Close())
}
