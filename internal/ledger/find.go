package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// SecretNames are the secrets of cards that can be sealed, as the command line of a ledger
// names them.
func SecretNames() []string {
	var names []string
	for _, kind := range []secret.Name{secret.PUK, secret.AdminPIN, secret.SOPIN, secret.ManagementKey, secret.PIN, secret.ResetCode, secret.CardKeys} {
		names = append(names, SecretName(kind))
	}
	return names
}

// Find reads the card with a serial, or else all cards of the persons with an ID or a
// name, of which an ID comes first. If there is none, that is a problem.NotFound.
func (l *Ledger) Find(ctx context.Context, which string) ([]Card, error) {
	cards, err := l.Cards(ctx, Filter{Serial: which})
	if err == nil && len(cards) == 0 {
		cards, err = l.Cards(ctx, Filter{Person: which})
		if slices.ContainsFunc(cards, func(c Card) bool { return c.Person.ID == which }) { // not those with such a name
			cards = slices.DeleteFunc(cards, func(c Card) bool { return c.Person.ID != which })
		}
	}
	if err == nil && len(cards) == 0 {
		err = Unknown()
	}
	return cards, err
}

// Unknown is the error of a card or a person that the ledger does not have. It does not
// repeat what was typed.
func Unknown() error {
	return problem.New(problem.NotFound, "the ledger has no such card or person").
		Because("The serial of a card, or the ID or name of a person with a card, is needed.").Advise(advice.Do(advice.ListCards))
}

// History calls each with what the log has of cards, the oldest of each first. What was
// done to a chip before it had its applet comes before that.
func (l *Ledger) History(ctx context.Context, cards []Card, each func(Event) error) error {
	for i := range cards {
		if err := l.historyOfChip(ctx, cards[i].Serial, each); err != nil {
			return err
		}
		if err := l.Events(ctx, EventFilter{Serial: cards[i].Serial}, each); err != nil {
			return err
		}
	}
	return nil
}

// Documents are cards in JSON.
func Documents(cards []Card) []CardDocument {
	list := []CardDocument{}
	for i := range cards {
		list = append(list, cards[i].Document())
	}
	return list
}

// Words are what happened, in a line.
func (e *EventDocument) Words() string {
	var data map[string]any
	if json.Unmarshal(e.Data, &data) != nil {
		return "(not readable)"
	}
	var words []string
	for _, field := range []string{"what", "command", "note", "ref", "result", "state", "secret", "reason", "serialNumber", "station", "chip"} {
		switch value := data[field].(type) {
		case nil:
		case string:
			words = append(words, value)
		default:
			words = append(words, fmt.Sprint(value))
		}
	}
	return strings.Join(words, " ")
}

// CanBecome reports whether a person may say that a card in this state is in another one.
func (s State) CanBecome(next State) bool { return s != next && s.to(next, "") == nil }

// Revocations are the certificates, former ones of the same keys too, that are to be revoked when a card goes from one state
// into another, and why. A card that is active again is the end of a hold: an empty reason.
// Nobody revokes a certificate that its own key signed.
func (c *Card) Revocations(to State) (list []Credential, reason string) {
	reason = to.Reason()
	for _, k := range slices.Concat(c.Credentials, c.Former) {
		again := slices.ContainsFunc(list, func(other Credential) bool { return other.SerialNumber == k.SerialNumber && other.Issuer == k.Issuer })
		released := to == Active && k.Revoked == Suspended.Reason()
		revoked := reason != "" && (k.Revoked == "" || k.Revoked == Suspended.Reason() && reason != Suspended.Reason())
		if k.SerialNumber != "" && !again && (released || revoked) && !k.selfSigned() {
			list = append(list, k)
		}
	}
	return list, reason
}

// Families are the applications by which cards of people are in the ledger.
func (l *Ledger) Families(ctx context.Context) (families []string, err error) {
	err = l.db.Rows(ctx, func(scan func(...any) error) error {
		var family string
		err := scan(&family)
		families = append(families, family)
		return err
	}, "SELECT DISTINCT family FROM card WHERE person <> 0")
	return families, err
}
