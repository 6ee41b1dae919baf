package scdaemon

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/agent"
)

// card is a token as GnuPG sees it.
type card struct {
	agent.Token
	about agent.About
	// serial is upper-case hex: the application identifier of an OpenPGP card, else a
	// number made for the token.
	serial string
	// app is GnuPG's name of the application.
	app string
	// has are the data objects of an OpenPGP card, once they were asked for.
	has map[uint32][]byte
}

// GnuPG's names of applications. The second is that of all tokens for which it has no
// special treatment.
const (
	appOpenPGP = "openpgp"
	appOther   = "p15"
)

func newCard(t agent.Token) *card {
	about := t.About()
	c := &card{Token: t, about: about, app: appOther}
	if len(about.AID) == 16 {
		c.app, c.serial = appOpenPGP, fmt.Sprintf("%X", about.AID)
		return c
	}
	h := sha256.New()
	for _, part := range []string{about.Kind, about.Serial, about.Label} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	c.serial = fmt.Sprintf("FF02%X", h.Sum(nil)[:14])
	return c
}

// objects reads the data objects, once for each command.
func (c *card) objects(ctx context.Context) (map[uint32][]byte, error) {
	if c.has != nil {
		return c.has, nil
	}
	has, err := c.Objects(ctx)
	c.has = has
	return has, err
}

func (c *card) isOpenPGP() bool { return c.app == appOpenPGP }

// cards are those that are there.
func (s *session) cards(ctx context.Context) ([]*card, error) {
	tokens, err := s.tokens.All(ctx)
	if err != nil {
		return nil, err
	}
	cards := make([]*card, len(tokens))
	for i, t := range tokens {
		cards[i] = newCard(t)
	}
	return cards, nil
}

// selected is the card that commands without a keygrip use: the one that was selected, or the
// first. One that was selected and taken out stays so until the client selects another.
func (s *session) selected(ctx context.Context) (*card, error) {
	if s.current == nil {
		return s.choose(ctx, "", "")
	}
	cards, err := s.cards(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range cards {
		if c.about.Number == s.current.about.Number {
			return c, nil
		}
	}
	return nil, fail(errCardRemoved, "")
}

// choose selects the card with a serial and an application, empty for any. If several match,
// the current one stays.
func (s *session) choose(ctx context.Context, serial, app string) (*card, error) {
	cards, err := s.cards(ctx)
	if err != nil {
		return nil, err
	}
	var chosen *card
	for _, c := range cards {
		if serial != "" && !strings.EqualFold(serial, c.serial) || app != "" && !strings.EqualFold(app, c.app) {
			continue
		}
		if chosen == nil || s.current != nil && s.current.about.Number == c.about.Number {
			chosen = c
		}
	}
	switch {
	case chosen != nil:
		s.current = chosen
		return chosen, nil
	case len(cards) > 0 && serial == "":
		return nil, fail(errNotSupported, "no card with this application")
	}
	return nil, fail(errCardNotPresent, "")
}

func (s *session) serialNumber(ctx context.Context, a arguments) error {
	if a.has("demand") && a.options["demand"] == "" {
		return fail(errParameter, "missing value for option")
	}
	c, err := s.choose(ctx, a.options["demand"], a.word(0))
	if err != nil {
		return err
	}
	s.out.status("SERIALNO", c.serial)
	return nil
}

func (s *session) switchCard(ctx context.Context, a arguments) error {
	c, err := s.choose(ctx, a.word(0), "")
	if err != nil {
		return err
	}
	s.out.status("SERIALNO", c.serial, c.app)
	return nil
}

// checkPIN has the agent ask for the PIN of the card whose serial number is given, or of the
// current one.
func (s *session) checkPIN(ctx context.Context, a arguments) error {
	c, err := s.selected(ctx)
	if err != nil {
		return err
	}
	if serial := a.word(0); serial != "" && !hasPrefixFold(serial, c.serial) {
		return fail(errNotSupported, "not the serial number of the current card")
	}
	if strings.HasSuffix(a.word(0), "]") {
		return fail(errNotSupported, "only the user PIN can be checked")
	}
	return agent.Login(s.in.present, c, s.by)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
