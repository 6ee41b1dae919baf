package ledger

import (
	"context"
	"database/sql"
	"errors"

	"github.com/cardctl/cardctl/internal/problem"
)

// Person is somebody who has cards, or will have.
type Person struct {
	// ID is what a plan says who somebody is, such as an address of mail.
	ID, Name string
	// Number is the ledger's own, which the log has; 0 for somebody it does not know.
	Number int64
}

// person is the number of somebody, 0 if the ledger does not know them.
func (c *change) person(ctx context.Context, id string) (number int64, err error) {
	err = c.QueryRowContext(ctx, "SELECT number FROM person WHERE id = $1 AND id <> ''", id).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return number, err
}

// keepPerson stores somebody, or a new name.
func (c *change) keepPerson(ctx context.Context, number int64, p Person) error {
	_, err := c.ExecContext(ctx, `INSERT INTO person (number, id, name) VALUES ($1, $2, $3)
    ON CONFLICT (number) DO UPDATE SET name = CASE WHEN excluded.name = '' THEN person.name ELSE excluded.name END`, number, p.ID, p.Name)
	return err
}

// Person reads somebody by ID; nil if the ledger does not know them.
func (l *Ledger) Person(ctx context.Context, id string) (p *Person, err error) {
	err = l.db.Rows(ctx, func(scan func(...any) error) error {
		p = &Person{}
		return scan(&p.Number, &p.ID, &p.Name)
	}, "SELECT number, id, name FROM person WHERE id = $1 AND id <> ''", id)
	return p, err
}

// Forget empties a person: ID and name, subjects and certificates, and the rows of plans.
// The log has only the number, so the chain stays whole. The cards stay those of this
// number. Somebody unknown is a problem.NotFound.
func (l *Ledger) Forget(ctx context.Context, id string) error {
	// Whose certificate it was is in its subject, and may be in the name of its issuer.
	const nameless = `UPDATE credential SET subject = '', certificate = '',
    issuer = CASE WHEN issuer = subject OR issuer LIKE '%@%' THEN '' ELSE issuer END`
	token := random()
	_, err := l.write(ctx, token, func(ctx context.Context, c *change) error {
		number, err := c.person(ctx, id)
		if err != nil {
			return err
		}
		if number == 0 {
			return problem.New(problem.NotFound, "the ledger has no person %s", id)
		}
		if _, err := c.append(ctx, record{token: token, person: number, data: map[string]any{"what": "forgotten"}}); err != nil {
			return err
		}
		for _, statement := range []string{
			"UPDATE person SET id = '', name = '' WHERE number = $1",
			nameless + " WHERE serial IN (SELECT serial FROM card WHERE person = $1)",
			// Cards that they had before may be somebody else's now.
			nameless + " WHERE number IN (SELECT number FROM event WHERE person = $1)",
			nameless + " WHERE ended = 1 AND serial IN (SELECT serial FROM event WHERE person = $1)",
		} {
			if _, err := c.ExecContext(ctx, statement, number); err != nil {
				return err
			}
		}
		_, err = c.ExecContext(ctx, "UPDATE job SET key = 'forgotten ' || position, person_id = '', person_name = '', why = '' WHERE person_id = $1", id)
		return err
	})
	if err != nil {
		return err
	}
	return l.db.Flush(ctx)
}

// forgotten reports whether a number is that of somebody who was forgotten.
func (c *change) forgotten(ctx context.Context, number int64) (is bool, err error) {
	err = c.QueryRowContext(ctx, "SELECT count(*) > 0 FROM person WHERE number = $1 AND id = ''", number).Scan(&is)
	return is, err
}
