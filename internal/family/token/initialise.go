package token

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// found is what Survey saw, when somebody was asked for the asked-th time: the token,
// and the label that it will have.
type found struct {
	token p11.Token
	label string
	asked int
}

// Survey finds the token: the one that the URI names; where it names none, the
// only one that is not initialised, or else the only one. An initialised token
// keeps its SO PIN, which is asked for, and its label where the options have none.
func (t *Token) Survey(ctx context.Context, o card.InitOptions) (*card.Survey, error) {
	if o.FactoryPINs {
		return nil, problem.New(problem.NotSupported, "a PKCS#11 token has no factory PINs").
			Because("A token cannot be used until its PINs are set.").
			Advise(advice.Repeat(advice.Ask(secret.SOPIN), advice.Ask(secret.PIN)).Without(advice.Factory))
	}
	of, err := chooseToken(ctx, t.module, t.uri, o.Label)
	if err != nil {
		return nil, key.Explain(err, "", "")
	}
	t.seen = of
	s, err := t.survey(ctx, of, o)
	return s, key.Explain(err, "", tokenUntouched)
}

func (t *Token) survey(ctx context.Context, of p11.Token, o card.InitOptions) (*card.Survey, error) {
	label := o.Label
	if label == "" {
		label = of.Label
	}
	if label == "" {
		return nil, problem.New(problem.Usage, "a token needs a label").
			Because("Programs find the token by its label.").
			Advise(advice.Repeat(advice.Fill(advice.Label)))
	}
	report := card.InitReport{Serial: of.Serial, Application: name, PINs: "new", Lost: []string{}, Erased: of.Initialized}
	if err := t.look(ctx, of, &report); err != nil {
		return nil, err
	}
	needs, err := t.needs(ctx, of)
	t.announcePad(of)
	return &card.Survey{
		Options: o, Blank: !of.Initialized, Question: question(of, label, report.Lost), Report: report, Needs: needs, Found: found{of, label, t.asked},
	}, err
}

// look notes what will be lost, as far as it is seen without a PIN.
func (t *Token) look(ctx context.Context, of p11.Token, report *card.InitReport) error {
	if !of.Initialized {
		return nil
	}
	s, err := t.open(ctx, p11.URI{Path: []p11.Attribute{{Name: p11.AttrSlotID, Value: fmt.Sprint(of.Slot)}}})
	if err != nil {
		return err
	}
	contents, err := s.Contents(ctx)
	for _, k := range contents.Keys {
		report.Lost = append(report.Lost, fmt.Sprintf("key %s (%s, %s)", s.URI(k), key.AlgorithmOf(k.Public), pubkey.Fingerprint(k.Public)))
	}
	for _, c := range contents.Certificates {
		report.Lost = append(report.Lost, fmt.Sprintf("certificate %q (%d bytes)", c.Label, len(c.DER)))
	}
	t.session = nil // C_InitToken takes no token with a session
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return err
}

// needs are the SO PIN, which a token that is in use keeps, and a new user PIN.
func (t *Token) needs(ctx context.Context, of p11.Token) ([]card.Need, error) {
	if of.PINPad {
		return nil, nil
	}
	so, user := t.pin(of, p11.SecurityOfficer), t.fresh(of, p11.User)
	if of.Initialized {
		left, err := so.Tries(ctx, false)
		if err == nil {
			err = t.access.Policy.Check(so, left)
		}
		if err != nil {
			return nil, err
		}
		return []card.Need{{PIN: so, Request: secret.Request{Name: secret.SOPIN, Label: so.Name() + " of " + so.Holder, Note: left.Note()}}, newPIN(of, user.Name(), secret.PIN, user)}, nil
	}
	return []card.Need{newPIN(of, so.Name(), secret.SOPIN, t.fresh(of, p11.SecurityOfficer)), newPIN(of, user.Name(), secret.PIN, user)}, nil
}

// Initialise makes the token blank and gives it its label and PINs.
func (t *Token) Initialise(ctx context.Context, s *card.Survey, given map[secret.Name]*secret.Bytes) (card.InitReport, error) {
	report, state := s.Report, tokenUntouched
	was := s.Found.(found)
	var made p11.Token
	err := t.access.Policy.Given(given[secret.SOPIN]).Send(ctx, t.officer(was.token), func(ctx context.Context, so *secret.Bytes) (err error) {
		if err := t.confirmed(ctx, was, report.Lost); err != nil {
			return err
		}
		made, err = t.module.InitToken(ctx, was.token, so, was.label, true)
		return err
	})
	if err == nil {
		report.Serial, t.seen = made.Serial, made
		state = "The token is blank and has no user PIN; initialise it again to finish."
		made, err = t.module.InitPIN(ctx, made, given[secret.SOPIN], given[secret.PIN])
	}
	if p11.Uncertain(err) {
		state = "It is not known what is on the token now; initialise it again to continue."
	}
	if err != nil {
		return report, key.Explain(err, "", state)
	}
	report.URI = made.URI
	return report, nil
}

// confirmed looks again at a token after somebody was asked: only what the question
// named is lost, and what the token does not show.
func (t *Token) confirmed(ctx context.Context, was found, lost []string) error {
	if t.asked == was.asked {
		return nil
	}
	var now card.InitReport
	err := t.look(ctx, was.token, &now)
	if err == nil && !sameElements(now.Lost, lost) {
		err = changedMeanwhile("the contents of the token have changed since the question")
	}
	return err
}

// sameElements compares lists of what tokens have in no order.
func sameElements(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// officer is the SO PIN that C_InitToken takes: the token's own, or the first.
func (t *Token) officer(of p11.Token) pin.PIN {
	if of.Initialized {
		return t.pin(of, p11.SecurityOfficer)
	}
	return t.fresh(of, p11.SecurityOfficer)
}

// newPIN is a PIN that the token will have.
func newPIN(of p11.Token, label string, name secret.Name, p pin.PIN) card.Need {
	return card.Need{PIN: p, Request: secret.Request{
		Name: name, Label: "new " + label, New: true, Note: fmt.Sprintf("at least %d characters", of.MinPINLength),
	}}
}

// chooseToken finds the token to initialise. A new one does not get the label of
// another, unless that is what an interrupted command left behind.
func chooseToken(ctx context.Context, m *p11.Module, uri p11.URI, label string) (p11.Token, error) {
	t, err := m.FindToken(ctx, uri)
	if err != nil || t.Initialized {
		return t, err
	}
	tokens, err := m.States(ctx)
	if err != nil {
		return t, err
	}
	for _, other := range tokens {
		switch {
		case !other.Initialized || other.Label != label:
		case !other.UserPIN.Initialized:
			return other, nil
		default:
			return t, problem.New(problem.Refused, "a token with the label %q already exists", label).
				Because("It is %s. Programs could not distinguish two tokens by this label.", other.URI).
				Advise(advice.Repeat(advice.Fill(advice.Label)))
		}
	}
	return t, nil
}

// question is what a person confirms.
func question(of p11.Token, label string, lost []string) advice.Question {
	if !of.Initialized && of.SlotDescription == "" {
		return advice.Question{Deed: "Initialise", Subject: fmt.Sprintf("the token in slot %d as %q", of.Slot, label)}
	}
	if !of.Initialized {
		return advice.Question{Deed: "Initialise", Subject: fmt.Sprintf("the token in %s as %q", of.SlotDescription, label)}
	}
	what := "Without its PIN, the token shows no keys or certificates."
	if len(lost) > 0 {
		what = "These will be lost, and everything that the token does not show without its PIN: " + strings.Join(lost, ", ") + "."
	}
	return advice.Question{Deed: "Erase", Subject: fmt.Sprintf("the token %q, serial %s", of.Label, of.Serial), Lost: what}
}
