package openvpn

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/problem"
)

// isToken reports whether a token is meant, which only the module shows.
func (s *setting) isToken() (bool, error) {
	if s.options.Key == "" {
		return s.desk.Meant.MeansToken() || s.desk.Meant.Module != "" && s.desk.Meant.Reader == "", nil
	}
	_, f, err := family.Parse(s.options.Key)
	return f.Token, err
}

// await waits for the card that is meant, or for a token where the module shows none.
func (s *setting) await(ctx context.Context) error {
	token, err := s.isToken()
	switch {
	case err != nil:
		return err
	case token:
		return s.awaitToken(ctx)
	case strings.HasPrefix(s.desk.Meant.Reader, desk.SimulatedPrefix):
		return nil // always there
	}
	places, _, err := s.desk.Places(ctx, false, nil)
	if err != nil && !problem.Is(err, problem.NotFound) {
		return err
	}
	if slices.ContainsFunc(places, func(p desk.Place) bool { is, _ := s.isMeant(ctx, p); return is }) {
		return nil
	}
	s.access.Notify("waiting for the card")
	_, _, err = s.desk.Places(ctx, true, func(p desk.Place) (is, certain bool) { return s.isMeant(ctx, p) })
	return err
}

// isMeant reports whether the card that is meant is in a place.
func (s *setting) isMeant(ctx context.Context, p desk.Place) (is, certain bool) {
	switch {
	case !p.CardPresent || strings.HasPrefix(p.Name, desk.SimulatedPrefix):
		return false, true
	case s.desk.Meant.Serial == "":
		return true, true
	}
	line, err := s.desk.OpenIn(ctx, p.Name)
	if err != nil {
		return false, false
	}
	serials, err := family.Serials(ctx, line)
	err = line.Done(err)
	return err == nil && desk.HasSerial(serials, s.desk.Meant.Serial), err == nil
}

const lookAgain = time.Second

func (s *setting) awaitToken(ctx context.Context) error {
	for told := false; ; told = true {
		tokens, err := s.desk.Tokens(ctx)
		if err != nil || len(tokens) > 0 {
			return err
		}
		if !told {
			s.access.Notify("waiting for a token")
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// choice is a key with a certificate.
type choice struct{ ref, is string }

func (c choice) String() string { return c.ref + "  " + c.is }

// choose finds the key where none was named: the only one with a certificate, or the one
// that a person chooses.
func (s *setting) choose(ctx context.Context) error {
	if s.options.Key != "" {
		return nil
	}
	choices, err := s.choices(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(choices) == 0:
		return problem.New(problem.NotFound, "no key has a certificate").
			Because("OpenVPN finds keys by their certificates.").Advise(advice.Do(advice.ImportCertificate, advice.Fill(advice.Key)).On("FILE"))
	case len(choices) == 1:
		s.options.Key = choices[0].ref
		return nil
	}
	lines := make([]string, len(choices))
	for i, c := range choices {
		lines[i] = c.String()
	}
	if s.options.Choose == nil {
		return problem.New(problem.Usage, "several keys have a certificate, and none was selected").
			Because("Keys: %s.", strings.Join(lines, "; ")).Advise(advice.Repeat(advice.Set(advice.Key, choices[0].ref)))
	}
	chosen, err := s.options.Choose(ctx, "Which certificate?", lines)
	if err == nil {
		s.options.Key = choices[chosen].ref
	}
	return err
}

// choices are the keys with a certificate on the card that is meant, or on the tokens.
func (s *setting) choices(ctx context.Context) ([]choice, error) {
	if token, _ := s.isToken(); !token {
		same := *s.desk // the card on which a person chooses is the one that is used
		same.Keep = true
		return s.choicesOn(ctx, &same)
	}
	tokens, err := s.desk.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	var all []choice
	for _, uri := range tokens {
		one := *s.desk
		one.Meant.Token = uri
		found, err := s.choicesOn(ctx, &one)
		if err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		all = append(all, found...) // what a token does not show, another may
	}
	return all, nil
}

func (s *setting) choicesOn(ctx context.Context, d *desk.Desk) (list []choice, err error) {
	looking := desk.Access{Now: s.access.Now, Notify: s.access.Notify}
	w := family.Wanted{Takes: family.Apps(family.HasKeys), Reads: true}
	_, _, err = family.Visit(ctx, d, w, looking, func(ctx context.Context, c card.Card) error {
		keys, err := c.Keys(ctx)
		for _, k := range keys {
			der, failed := k.Certificate(ctx)
			if failed != nil && !problem.Is(failed, problem.NotFound) && !problem.Is(failed, problem.NotSupported) {
				return failed
			}
			parsed, unreadable := cert.Parse(der)
			if len(der) > 0 && unreadable == nil && !parsed.IsCA {
				list = append(list, choice{k.Reference().String(), parsed.Subject.String()})
			}
		}
		return err
	})
	if errors.Is(err, card.ErrLacks) {
		err = nil
	}
	return list, err
}
