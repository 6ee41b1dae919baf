package ledger

import (
	"context"
	"slices"
	"strconv"

	"github.com/cardctl/cardctl/internal/secret"
)

// Imported is a card that somebody else kept a list of.
type Imported struct {
	Card
	// Plain are secrets that the card has, to be sealed. The caller wipes them.
	Plain map[secret.Name]*secret.Bytes
}

// Import adds cards, all of them or none. Those that the ledger has already are left as
// they are; it returns how many were added. Secrets are sealed to recipients, which may be
// nil if there are none.
func (l *Ledger) Import(ctx context.Context, all []Imported, to *Sealers) (added int, err error) {
	token := random()
	err = l.writeLong(ctx, silence, token, func(ctx context.Context, c *change) error {
		added = 0
		for i, card := range all {
			name := token
			if added > 0 {
				name += "-" + strconv.Itoa(i)
			}
			ok, err := c.importCard(ctx, name, card, to)
			if err != nil {
				return err
			}
			if ok {
				added++
			}
		}
		return nil
	})
	return added, err
}

func (c *change) importCard(ctx context.Context, token string, i Imported, to *Sealers) (bool, error) {
	card, known, err := c.card(ctx, exact(i.Serial))
	if err != nil || known {
		return false, err
	}
	card.family, card.reader, card.state = i.Family, i.Reader, i.State
	if card.state == "" {
		card.state = Stock
		if i.Person != nil {
			card.state = Active
		}
	}
	if card.person, err = c.owner(ctx, card, i.Person); err != nil {
		return false, err
	}
	// What else a file says is not for the log: it may be anything, such as a family name.
	if card.entry, err = c.append(ctx, record{token, card.serial, card.person, map[string]any{"what": "imported", "state": card.state}}); err != nil {
		return false, err
	}
	if i.Person != nil && i.Person.ID != "" {
		if err := c.keepPerson(ctx, card.person, *i.Person); err != nil {
			return false, err
		}
	}
	if err := c.put(ctx, card); err != nil {
		return false, err
	}
	for _, k := range i.Credentials {
		f := fact{What: factCertified, Entry: card.entry, Credential: &k}
		number, err := c.append(ctx, record{random(), card.serial, card.person, f.logged(true)})
		if err != nil {
			return false, err
		}
		if err := c.certified(ctx, number, card.serial, k); err != nil {
			return false, err
		}
	}
	return true, c.importSecrets(ctx, card, i.Plain, to)
}

func (c *change) importSecrets(ctx context.Context, card row, plain map[secret.Name]*secret.Bytes, to *Sealers) error {
	var kinds []secret.Name
	for kind := range plain {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		if to == nil {
			_, err := Recipients(nil, UI{})
			return err
		}
		blob, err := to.seal(plain[kind])
		if err != nil {
			return err
		}
		id, err := c.append(ctx, record{random(), card.serial, card.person, map[string]any{"what": "sealed", "entry": card.entry, "secret": kind, "keep": KeepLedger, "recipients": to.Count()}})
		if err != nil {
			return err
		}
		if err := c.store(ctx, id, card.serial, kind, KeepLedger, blob, true); err != nil {
			return err
		}
	}
	return nil
}

// store stores a sealed secret.
func (c *change) store(ctx context.Context, id int64, serial string, kind secret.Name, keep string, blob []byte, known bool) error {
	has := 0
	if known {
		has = 1
	}
	_, err := c.ExecContext(ctx, "INSERT INTO secret (number, serial, kind, keep, blob, known, revealed, printed, ended) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0)",
		id, serial, kind, keep, string(blob), has)
	return err
}
