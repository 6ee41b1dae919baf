package ledger

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Counts reports whether somebody with a card in this state gets no second one.
func (s State) Counts() bool { return s == Issuing || s == Active || s == Suspended }

// counting are the states of Counts, in SQL.
func counting() string {
	var all []string
	for _, s := range States() {
		if s.Counts() {
			all = append(all, "'"+string(s)+"'")
		}
	}
	return "(" + strings.Join(all, ", ") + ")"
}

// otherCards is the rule that nobody is given a second card, as the end of a query: the
// cards that keep the person of a row in job from getting the one with the serial $2. A row
// that names its card may add one of another kind: a further application. $3 is the kind
// of the card, or empty if it is not known; then every other card counts.
func otherCards() string {
	return `card JOIN person ON person.number = card.person WHERE person.id = job.person_id AND person.id <> '' AND card.serial <> $2
    AND card.state IN ` + counting() + ` AND (job.serial = '' OR card.family IN ('', CAST($3 AS TEXT)) OR CAST($3 AS TEXT) = '')`
}

// Keeps is the rule for those who only look: whether the card keeps its person from getting
// another one of a kind by a row, which may name that other card.
func (c *Card) Keeps(family string, named bool) bool {
	return c.State.Counts() && (!named || c.Family == "" || family == "" || c.Family == family)
}

// second refuses a card for somebody who got another one since the row was claimed, such as
// by a row of another plan. It is asked under the lock of all that write.
func (c *change) second(ctx context.Context, x *Lease, card row) error {
	if x == nil {
		return nil
	}
	var person, has string
	var state State
	err := c.QueryRowContext(ctx, "SELECT job.person_id, card.serial, card.state FROM job, "+otherCards()+" AND job.plan = $1 AND job.position = $4 ORDER BY card.serial LIMIT 1",
		x.plan, card.serial, card.family, x.position).Scan(&person, &has, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return &SecondError{problem.New(problem.Refused, "card %s: %s has card %s", card.serial, person, has).
		Because("In the ledger it is %s, and nobody is given a second card.", state).Advise(advice.Do(advice.ShowLedger).On(has))}
}

// SecondError is a problem.Refused of a card for somebody who has another one.
type SecondError struct{ error }

func (e *SecondError) Unwrap() error { return e.error }
