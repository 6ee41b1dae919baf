package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Card is what the ledger has of a card.
type Card struct {
	Serial, Family, Reader string
	State                  State
	// Since is when the state began.
	Since time.Time
	// Person is whose it is; nil for nobody.
	Person *Person
	// Credentials are the certificates that are on the card now, Secrets those that it may
	// have.
	Credentials []Credential
	Secrets     []Sealed
	// Former are certificates that others replaced, of keys that the card has still, and
	// that are valid still.
	Former []Credential
	// Entry is the record of the last change.
	Entry int64
}

// Credential is a certificate on a card.
type Credential struct {
	Ref string `json:"ref"`
	// SPKI is the SHA-256 of the SubjectPublicKeyInfo, in upper-case hex.
	SPKI         string    `json:"spki"`
	Certificate  []byte    `json:"certificate,omitempty"` // DER
	Issuer       string    `json:"issuer,omitempty"`
	NotAfter     time.Time `json:"notAfter"`
	Subject      string    `json:"subject,omitempty"`
	SerialNumber string    `json:"serialNumber,omitempty"`
	// Revoked is why it was revoked; empty if it was not.
	Revoked string `json:"revoked,omitempty"`
}

// Sealed is a secret that only the owners of its recipients can read.
type Sealed struct {
	ID   int64
	Kind secret.Name
	// Keep is what it is kept for: letter, ledger or both.
	Keep string
	// Blob is an age file with armour; empty once a letter that it was kept for is printed.
	Blob []byte
	// Set says that the card is known to have it. Otherwise it may have it, or the one
	// before.
	Set bool
	// Revealed says that somebody was shown it: the next work on the card changes it.
	Revealed bool
	Printed  bool
	// Ended says that the card has another one now.
	Ended bool
}

// Filter is which cards are meant; its zero value is all of them.
type Filter struct {
	State State
	// Expiring is for cards with a certificate that ends before; the zero time for all.
	Expiring time.Time
	// Person is an ID or a name.
	Person string
	Serial string
	// All adds certificates and secrets that are over.
	All bool
}

// Card reads a card by its serial, exactly; nil for one that the ledger does not have.
func (l *Ledger) Card(ctx context.Context, serial string) (*Card, error) {
	cards, err := l.Cards(ctx, Filter{Serial: serial})
	if err != nil || len(cards) == 0 {
		return nil, err
	}
	return &cards[0], nil
}

// ActiveCards are the serials of active cards, by the IDs of their persons: the first one
// of somebody who has several.
func (l *Ledger) ActiveCards(ctx context.Context) (map[string]string, error) {
	cards := map[string]string{}
	err := l.db.Rows(ctx, func(scan func(...any) error) error {
		var person, serial string
		err := scan(&person, &serial)
		cards[person] = serial
		return err
	}, "SELECT person.id, min(card.serial) FROM card JOIN person ON person.number = card.person WHERE card.state = $1 AND person.id <> '' GROUP BY person.id", Active)
	return cards, err
}

// has is the card with a serial; one that the ledger does not have is a problem.NotFound.
func (l *Ledger) has(ctx context.Context, serial string) (*Card, error) {
	card, err := l.Card(ctx, serial)
	if err == nil && card == nil {
		err = problem.New(problem.NotFound, "the ledger has no card %s", exact(serial))
	}
	return card, err
}

// where is a filter in SQL.
func (f Filter) where() (string, []any) {
	var all []string
	var args []any
	add := func(condition string, values ...any) {
		for _, value := range values {
			args = append(args, value)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		all = append(all, condition)
	}
	if f.Serial != "" {
		add("serial = ?", exact(f.Serial))
	}
	if f.State != "" {
		add("state = ?", f.State)
	}
	if f.Person != "" {
		add("person IN (SELECT number FROM person WHERE id <> '' AND (id = ? OR name = ?))", f.Person, f.Person)
	}
	if !f.Expiring.IsZero() {
		add("serial IN (SELECT serial FROM credential WHERE ended = 0 AND not_after < ?)", f.Expiring.UnixMilli())
	}
	if len(all) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(all, " AND "), args
}

// Cards reads cards, in the order of their serials.
func (l *Ledger) Cards(ctx context.Context, f Filter) ([]Card, error) {
	where, args := f.where()
	var cards []Card
	at := map[string]int{}
	err := l.db.Rows(ctx, func(scan func(...any) error) error {
		var c Card
		var p Person
		var since int64
		if err := scan(&c.Serial, &c.Family, &c.Reader, &c.State, &since, &c.Entry, &p.Number, &p.ID, &p.Name); err != nil {
			return err
		}
		c.Since = moment(since)
		if p.Number != 0 {
			c.Person = &p
		}
		at[c.Serial] = len(cards)
		cards = append(cards, c)
		return nil
	}, `SELECT card.serial, family, reader, state, since, entry, card.person, coalesce(person.id, ''), coalesce(person.name, '')
    FROM (SELECT * FROM card`+where+`) AS card LEFT JOIN person ON person.number = card.person ORDER BY card.serial`, args...)
	if err != nil || len(cards) == 0 {
		return nil, err
	}
	these := " WHERE serial IN (SELECT serial FROM card" + where + ")"
	current, listed := "", ""
	if !f.All {
		current = " AND ended = 0"
		listed = ` AND (ended = 0 OR not_after > ` + l.now() + ` AND spki <> '' AND EXISTS
    (SELECT 1 FROM credential AS held WHERE held.serial = credential.serial AND held.spki = credential.spki AND held.ended = 0))`
	}
	err = l.db.Rows(ctx, func(scan func(...any) error) error {
		var c Credential
		var serial, certificate string
		var until int64
		var ended bool
		if err := scan(&serial, &c.Ref, &c.SPKI, &certificate, &c.Issuer, &c.Subject, &c.SerialNumber, &until, &c.Revoked, &ended); err != nil {
			return err
		}
		c.Certificate, c.NotAfter = bare(certificate), moment(until)
		i, ok := at[serial]
		switch {
		case !ok: // it came in meanwhile
		case ended && !f.All:
			cards[i].Former = append(cards[i].Former, c)
		default:
			cards[i].Credentials = append(cards[i].Credentials, c)
		}
		return nil
	}, "SELECT serial, ref, spki, certificate, issuer, subject, serial_number, not_after, revoked, ended <> 0 FROM credential"+these+listed+" ORDER BY number", args...)
	if err != nil {
		return nil, err
	}
	err = l.db.Rows(ctx, func(scan func(...any) error) error {
		var s Sealed
		var serial, blob string
		if err := scan(&s.ID, &serial, &s.Kind, &s.Keep, &blob, &s.Set, &s.Revealed, &s.Printed, &s.Ended); err != nil {
			return err
		}
		s.Blob = []byte(blob)
		if i, ok := at[serial]; ok {
			cards[i].Secrets = append(cards[i].Secrets, s)
		}
		return nil
	}, "SELECT number, serial, kind, keep, blob, known <> 0, revealed <> 0, printed <> 0, ended <> 0 FROM secret"+these+current+" ORDER BY number", args...)
	return cards, err
}
