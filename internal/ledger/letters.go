package ledger

import (
	"context"
	"slices"

	"github.com/cardctl/cardctl/internal/secret"
)

// Due is what is to be printed for a person.
type Due struct {
	Person Person
	Cards  []DueCard
}

// DueCard is a card of the person, with the secrets that are kept for the letter.
type DueCard struct {
	Card    Card
	Secrets []Sealed
}

// Due are the letters that were not printed yet: all, or those for persons and cards that
// are named by ID, name or serial. A card that is not with its person has none.
func (l *Ledger) Due(ctx context.Context, named []string) ([]Due, error) {
	var cards []Card
	if len(named) == 0 {
		all, err := l.Cards(ctx, Filter{})
		if err != nil {
			return nil, err
		}
		cards = all
	}
	for _, which := range named {
		found, err := l.Find(ctx, which)
		if err != nil {
			return nil, err
		}
		cards = append(cards, found...)
	}
	var due []Due
	for i := range cards {
		c := &cards[i]
		secrets := slices.DeleteFunc(slices.Clone(c.Secrets), func(s Sealed) bool { return !s.printable() })
		if c.Person == nil || c.Person.ID == "" || len(secrets) == 0 || !c.State.Held() || c.State == Lost {
			continue
		}
		at := slices.IndexFunc(due, func(d Due) bool { return d.Person.ID == c.Person.ID })
		if at < 0 {
			at, due = len(due), append(due, Due{Person: *c.Person})
		}
		if !slices.ContainsFunc(due[at].Cards, func(d DueCard) bool { return d.Card.Serial == c.Serial }) {
			due[at].Cards = append(due[at].Cards, DueCard{*c, secrets})
		}
	}
	return due, nil
}

// printable reports whether a secret belongs on a letter that was not printed yet: the
// card is known to have it. What manages the card stays at the desk, whatever a plan says.
func (s *Sealed) printable() bool {
	switch s.Kind {
	case secret.AdminPIN, secret.SOPIN, secret.ManagementKey, secret.CardKeys:
		return false
	}
	return (s.Keep == KeepLetter || s.Keep == KeepBoth) && s.Set && !s.Printed && !s.Ended && len(s.Blob) > 0
}

// Printing records that secrets of a card are about to be put on a letter: what cannot be
// recorded is not printed.
func (l *Ledger) Printing(ctx context.Context, serial string, ids ...int64) error {
	card, err := l.has(ctx, serial)
	if err != nil {
		return err
	}
	token := random()
	_, err = l.write(ctx, token, func(ctx context.Context, c *change) error {
		_, err := c.append(ctx, record{token, card.Serial, personOf(card), map[string]any{"what": "printing", "secrets": ids, "station": l.o.Station}})
		return err
	})
	return err
}
