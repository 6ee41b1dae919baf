package ledger

import (
	"context"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// What a secret is kept for.
const (
	KeepLetter = "letter"
	KeepLedger = "ledger"
	KeepBoth   = "both"
)

// Seal seals a secret to recipients and stores it, before the card has it. The number that
// it returns is for Has. After an error the card must not get the secret.
func (e *Entry) Seal(ctx context.Context, kind secret.Name, keep string, value *secret.Bytes, to []string) (int64, error) {
	r, err := Recipients(to, UI{})
	if err != nil {
		return 0, err
	}
	return e.SealTo(ctx, kind, keep, value, r)
}

// SealTo is Seal to recipients that were tried before.
func (e *Entry) SealTo(ctx context.Context, kind secret.Name, keep string, value *secret.Bytes, to *Sealers) (int64, error) {
	blob, err := to.seal(value)
	if err != nil {
		return 0, err
	}
	return e.keep(ctx, kind, keep, blob, to.Count())
}

// keep stores a secret; blob is empty for one that is not kept.
func (e *Entry) keep(ctx context.Context, kind secret.Name, keep string, blob []byte, recipients int) (id int64, err error) {
	token := random()
	number, err := e.write(ctx, token, func(ctx context.Context, c *change, card row) (err error) {
		id, err = c.append(ctx, record{token, e.serial, card.person, map[string]any{"what": "sealed", "entry": e.number, "secret": kind, "keep": keep, "recipients": recipients}})
		if err != nil {
			return err
		}
		return c.store(ctx, id, e.serial, kind, keep, blob, false)
	})
	if number != 0 {
		id = number
	}
	return id, err
}

// Reveal opens the secret of a card, and records that before it returns it: what cannot be
// recorded is not shown. The next work on the card changes the secret.
func (l *Ledger) Reveal(ctx context.Context, serial string, kind secret.Name, identities ...age.Identity) (*secret.Bytes, error) {
	card, err := l.has(ctx, serial)
	if err != nil {
		return nil, err
	}
	for i := len(card.Secrets) - 1; i >= 0; i-- {
		s := card.Secrets[i]
		if s.Kind != kind || len(s.Blob) == 0 || (!s.Set && i > 0 && hasSet(card.Secrets, kind)) {
			continue
		}
		value, err := Unseal(ctx, s.Blob, identities...)
		if err != nil {
			return nil, err
		}
		if err := l.revealed(ctx, card, s); err != nil {
			value.Wipe()
			return nil, err
		}
		return value, nil
	}
	return nil, problem.New(problem.NotFound, "card %s: the ledger has no %s of it", card.Serial, kind.Words())
}

func hasSet(secrets []Sealed, kind secret.Name) bool {
	for _, s := range secrets {
		if s.Kind == kind && s.Set && len(s.Blob) > 0 {
			return true
		}
	}
	return false
}

func (l *Ledger) revealed(ctx context.Context, card *Card, s Sealed) error {
	token := random()
	_, err := l.write(ctx, token, func(ctx context.Context, c *change) error {
		if _, err := c.append(ctx, record{token, card.Serial, personOf(card), map[string]any{"what": "revealed", "secret": s.Kind, "id": s.ID, "station": l.o.Station}}); err != nil {
			return err
		}
		_, err := c.ExecContext(ctx, "UPDATE secret SET revealed = 1 WHERE number = $1", s.ID)
		return err
	})
	return err
}

func personOf(card *Card) int64 {
	if card.Person == nil {
		return 0
	}
	return card.Person.Number
}

// MarkPrinted records that a letter with these secrets of a card was printed. Those that
// were kept for the letter alone are not in the ledger afterwards.
func (l *Ledger) MarkPrinted(ctx context.Context, serial string, ids ...int64) error {
	card, err := l.has(ctx, serial)
	if err != nil {
		return err
	}
	token := random()
	_, err = l.write(ctx, token, func(ctx context.Context, c *change) error {
		if _, err := c.append(ctx, record{token, card.Serial, personOf(card), map[string]any{"what": "printed", "secrets": ids}}); err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := c.ExecContext(ctx, "UPDATE secret SET printed = 1, blob = CASE WHEN keep = 'letter' THEN '' ELSE blob END WHERE number = $1 AND serial = $2", id, card.Serial); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// Reseal seals all secrets to other recipients, all of them or none; it returns how many.
// Backups from before keep the former ones.
func (l *Ledger) Reseal(ctx context.Context, to []string, ui UI, identities ...age.Identity) (int, error) {
	r, err := Recipients(to, ui)
	if err != nil {
		return 0, err
	}
	token, sealed := random(), 0
	err = l.writeLong(ctx, askedSilence, token, func(ctx context.Context, c *change) error {
		blobs, err := c.blobs(ctx)
		if err != nil {
			return err
		}
		sealed = len(blobs)
		for id, blob := range blobs {
			value, err := Unseal(ctx, []byte(blob.text), identities...)
			if err != nil {
				return problem.Wrap(problem.Failed, err, "card "+blob.serial)
			}
			again, err := r.seal(value)
			value.Wipe()
			if err != nil {
				return err
			}
			if _, err := c.ExecContext(ctx, "UPDATE secret SET blob = $1 WHERE number = $2", string(again), id); err != nil {
				return err
			}
		}
		_, err = c.append(ctx, record{token: token, data: map[string]any{"what": "resealed", "secrets": len(blobs), "recipients": r.Count()}})
		return err
	})
	return sealed, err
}

// sealedBlob is a sealed secret, and the serial of its card.
type sealedBlob struct{ serial, text string }

func (c *change) blobs(ctx context.Context) (map[int64]sealedBlob, error) {
	rows, err := c.QueryContext(ctx, "SELECT number, serial, blob FROM secret WHERE blob <> ''")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // it is read to its end
	blobs := map[int64]sealedBlob{}
	for rows.Next() {
		var id int64
		var blob sealedBlob
		if err := rows.Scan(&id, &blob.serial, &blob.text); err != nil {
			return nil, err
		}
		blobs[id] = blob
	}
	return blobs, rows.Err()
}
