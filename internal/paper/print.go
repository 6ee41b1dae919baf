package paper

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
)

// Books is what letters need of a ledger.
type Books interface {
	// Printing records what is about to be printed, MarkPrinted that it was.
	Printing(ctx context.Context, serial string, ids ...int64) error
	MarkPrinted(ctx context.Context, serial string, ids ...int64) error
}

// Deliver takes a letter, which is wiped afterwards. name is one for a file, without an
// extension.
type Deliver func(ctx context.Context, name string, letter *secret.Bytes) error

// Print fills a template for a person and delivers the letter. That it is printed is
// recorded first; that it was, afterwards.
func Print(ctx context.Context, books Books, t *Template, due *ledger.Due, keys ledger.Keys, now time.Time, deliver Deliver) error {
	letter := NewLetter(due.Person, now)
	for i := range due.Cards {
		card := &due.Cards[i]
		if err := books.Printing(ctx, card.Card.Serial, numbers(card.Secrets)...); err != nil {
			return err
		}
		secrets, err := open(ctx, card.Secrets, keys)
		if err != nil {
			return err
		}
		letter.Add(&card.Card, secrets)
	}
	page, err := t.Fill(letter)
	if err != nil {
		return err
	}
	defer page.Wipe()
	if err := deliver(ctx, FileName(due.Person.ID), page); err != nil {
		return err
	}
	for i := range due.Cards {
		card := &due.Cards[i]
		if err := books.MarkPrinted(ctx, card.Card.Serial, numbers(card.Secrets)...); err != nil {
			return err
		}
	}
	return nil
}

func numbers(secrets []ledger.Sealed) []int64 {
	var ids []int64
	for _, s := range secrets {
		ids = append(ids, s.ID)
	}
	return ids
}

// open opens secrets for a template, which needs strings.
func open(ctx context.Context, sealed []ledger.Sealed, keys ledger.Keys) ([]LetterSecret, error) {
	var list []LetterSecret
	for _, s := range sealed {
		value, err := ledger.Unseal(ctx, s.Blob, keys...)
		if err != nil {
			return nil, err
		}
		list = append(list, LetterSecret{CalledSecret(s.Kind), string(value.Reveal())})
		value.Wipe()
	}
	return list, nil
}

// FileName is a name for the letter to a person: the ID, if it can be one, and different
// for every ID.
func FileName(id string) string {
	const most = 100
	plain := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '@', c == '.', c == '-', c == '_':
			return c
		}
		return '_'
	}, id)
	plain = strings.TrimLeft(plain, ".-")
	if plain == id && len(id) <= most && id != "" {
		return id
	}
	return fmt.Sprintf("%.*s-%X", most, plain, sha256.Sum256([]byte(id)))[:min(most, len(plain))+1+16]
}
