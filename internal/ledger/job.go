package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// Row is a row of a plan: somebody who gets a card.
type Row struct {
	// Key tells it from the other rows of the plan.
	Key    string
	Person Person
	// Serial is that of the card that the row is for; empty for any card.
	Serial string
}

// Progress is how far a row is.
type Progress string

// A row is free, begun with a card, or done.
const (
	Free  Progress = "free"
	Begun Progress = "begun"
	Done  Progress = "done"
)

// RowState is a row, and how far it is.
type RowState struct {
	Row
	Progress Progress
	// Card is the serial of the card that has the row; empty for none.
	Card string
	// Why is what failed last.
	Why      string
	Attempts int
	// Station works on it now; empty for none.
	Station string
}

// Offer makes rows of a plan known. Those that the ledger has already are left as they
// are; plan names the plan, such as the hash of its content.
func (l *Ledger) Offer(ctx context.Context, plan string, rows []Row) error {
	if err := l.writable(); err != nil {
		return err
	}
	known := map[string]bool{}
	err := l.Rows(ctx, plan, func(r RowState) error {
		known[r.Key] = true
		return nil
	})
	if err != nil {
		return err
	}
	unknown := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return known[r.Key] })
	for some := range slices.Chunk(unknown, offeredAtOnce) {
		token := random()
		if _, err := l.write(ctx, token, func(ctx context.Context, c *change) error { return c.offer(ctx, token, plan, some) }); err != nil {
			return err
		}
	}
	return nil
}

const offeredAtOnce = 1000 // rows of a transaction

// offer stores those of the rows that are not there, after those that are.
func (c *change) offer(ctx context.Context, token, plan string, rows []Row) error {
	var last int64
	if err := c.QueryRowContext(ctx, "SELECT coalesce(max(position), 0) FROM job WHERE plan = $1", plan).Scan(&last); err != nil {
		return err
	}
	var values []string
	args := []any{plan}
	for i, r := range rows {
		n := len(args)
		values = append(values, fmt.Sprintf("($1, $%d, $%d, $%d, $%d, $%d, '', 'free', '', 0, 0, '', '', 0)", n+1, n+2, n+3, n+4, n+5))
		args = append(args, last+int64(i)+1, r.Key, r.Person.ID, r.Person.Name, exact(r.Serial))
	}
	result, err := c.ExecContext(ctx, "INSERT INTO job (plan, position, key, person_id, person_name, serial, card, state, why, attempts, lease, holder, station, until) VALUES "+
		strings.Join(values, ", ")+" ON CONFLICT (plan, key) DO NOTHING", args...)
	if err != nil {
		return err
	}
	added, err := result.RowsAffected()
	if err == nil && added > 0 {
		_, err = c.append(ctx, record{token: token, data: map[string]any{"what": "offered", "plan": plan, "rows": added}})
	}
	return err
}

// Rows calls each with the rows of a plan, in their order. each may not use the ledger.
func (l *Ledger) Rows(ctx context.Context, plan string, each func(RowState) error) error {
	return l.db.Rows(ctx, func(scan func(...any) error) error {
		var r RowState
		if err := scan(&r.Key, &r.Person.ID, &r.Person.Name, &r.Serial, &r.Progress, &r.Card, &r.Why, &r.Attempts, &r.Station); err != nil {
			return err
		}
		return each(r)
	}, `SELECT key, person_id, person_name, serial, state, card, why, attempts, CASE WHEN until > `+l.now()+` THEN station ELSE '' END
    FROM job WHERE plan = $1 ORDER BY position`, plan)
}

// Lease is a row that this station holds. It is prolonged by itself until Done or Free.
type Lease struct {
	Row Row
	// Number counts the leases of the row: a write with an older one is refused.
	Number int64
	// Progress is how far the row was; Done for a card that is put in again.
	Progress Progress

	l        *Ledger
	plan     string
	position int64
	serial   string
	named    string // what a row calls it
	holder   string

	stop   context.CancelFunc
	ended  chan struct{}
	sooner chan chan struct{} // asks for a sign of life at once, and is told when it was given

	mu    sync.Mutex
	until time.Time // by this machine's clock, and early
	busy  time.Time // when the step ends that is done now, if it takes long
	lost  bool
}

// Claim gives the card with this serial its row: the one that it has already; the one that
// names it; the one of the person whose card it is; else the next free one that names no
// card and whose person has none. It is nil if none is left. A card that is somebody
// else's is a problem.Refused.
func (l *Ledger) Claim(ctx context.Context, plan, serial string) (*Lease, error) {
	return l.ClaimNamed(ctx, plan, serial, serial)
}

// ClaimNamed is Claim for a card that a row names by another serial than its own, such as
// an ending of it.
func (l *Ledger) ClaimNamed(ctx context.Context, plan, serial, named string) (*Lease, error) {
	if err := l.writable(); err != nil {
		return nil, err
	}
	x := &Lease{l: l, plan: plan, serial: exact(serial), named: exact(named), holder: random()}
	var asked time.Time
	found := false
	err := l.db.Try(ctx, l.trying(), func(ctx context.Context, tx *sql.Tx) (err error) {
		asked = time.Now()
		found, err = x.claim(ctx, &change{tx, l})
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	x.prolonged(asked, l.o.Lease)
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	x.stop, x.ended, x.sooner = stop, make(chan struct{}), make(chan chan struct{})
	go x.beat(beating)
	return x, nil
}

const columns = "SELECT position, key, person_id, person_name, serial, state, lease FROM job WHERE plan = $1 AND "

func (x *Lease) claim(ctx context.Context, c *change) (bool, error) {
	card, _, err := c.card(ctx, x.serial)
	if err != nil {
		return false, err
	}
	lock, skip := "", ""
	if x.l.db.Shared() {
		lock, skip = " FOR UPDATE OF job", " FOR UPDATE OF job SKIP LOCKED"
	}
	unheld := "" // a row that names the card in full is no other card's
	if x.named != x.serial {
		unheld = " AND (card = '' OR state = 'free' AND until < " + x.l.now() + ")"
	}
	searches := []struct {
		query string
		args  []any
	}{
		{columns + "holder = $2 AND holder <> ''", []any{x.holder}}, // the answer was lost
		{columns + "card = $2 AND card <> ''" + lock, []any{x.serial}},
		{columns + "serial = $2 AND serial <> ''" + unheld + lock, []any{x.named}},
		{columns + `serial = '' AND person_id <> '' AND person_id = (SELECT id FROM person WHERE number = $2)
    AND (state = 'free' OR state = 'done' AND NOT EXISTS (SELECT 1 FROM card AS former WHERE former.serial = job.card AND former.person = $2
    AND former.state IN ` + counting() + "))" + lock, []any{card.person}}, // of a card that was replaced, too
		{columns + `serial = '' AND state = 'free' AND until < ` + x.l.now() + ` AND NOT EXISTS (SELECT 1 FROM ` + otherCards() + `)
    ORDER BY position LIMIT 1` + skip, []any{x.serial, card.family}},
	}
	for i, s := range searches {
		if i == 3 && (card.person == 0 || !card.state.Held()) {
			continue
		}
		err := c.QueryRowContext(ctx, s.query, append([]any{x.plan}, s.args...)...).Scan(&x.position, &x.Row.Key, &x.Row.Person.ID, &x.Row.Person.Name, &x.Row.Serial, &x.Progress, &x.Number)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return false, err
		}
		if i == 0 {
			return true, nil
		}
		if err := x.ours(ctx, c, card); err != nil {
			return false, err
		}
		return true, x.take(ctx, c)
	}
	if card.person != 0 && card.state.Held() {
		return false, othersCard(x.serial, card.state)
	}
	return false, nil
}

// ours refuses a card that is somebody else's.
func (x *Lease) ours(ctx context.Context, c *change, card row) error {
	if card.person == 0 || !card.state.Held() {
		return nil
	}
	person, err := c.person(ctx, x.Row.Person.ID)
	if err == nil && person != card.person {
		err = othersCard(x.serial, card.state)
	}
	return err
}

// take makes the row this station's. Another one that held it before with the same card
// does not have the card any more.
func (x *Lease) take(ctx context.Context, c *change) error {
	x.Number++
	_, err := c.ExecContext(ctx, `UPDATE job SET card = $1, lease = $2, holder = $3, station = $4, attempts = attempts + 1, until = `+x.l.now()+` + $5
    WHERE plan = $6 AND position = $7`, x.serial, x.Number, x.holder, x.l.o.Station, x.l.o.Lease.Milliseconds(), x.plan, x.position)
	return err
}

// Serial is that of the card that the row was claimed for.
func (x *Lease) Serial() string { return x.serial }

// Done ends the lease: the row is done, or why it is not. One whose card was changed goes
// on only with that card.
func (x *Lease) Done(ctx context.Context, passed bool, why string) error {
	state := string(Done)
	if passed {
		why = ""
	}
	return x.end(ctx, "row", map[string]any{"passed": passed}, func(ctx context.Context, c *change) error {
		if !passed {
			_, err := c.ExecContext(ctx, "UPDATE job SET why = $1 WHERE plan = $2 AND position = $3", why, x.plan, x.position)
			return err
		}
		_, err := c.ExecContext(ctx, "UPDATE job SET state = $1, why = '' WHERE plan = $2 AND position = $3", state, x.plan, x.position)
		return err
	})
}

// Free gives the row back, as it is.
func (x *Lease) Free(ctx context.Context) error {
	return x.end(ctx, "", nil, func(context.Context, *change) error { return nil })
}

func (x *Lease) end(ctx context.Context, what string, data map[string]any, work func(context.Context, *change) error) error {
	x.stop()
	<-x.ended
	ctx, cancel := x.l.afterwards(ctx)
	defer cancel()
	token := random()
	_, err := x.l.write(ctx, token, func(ctx context.Context, c *change) error {
		if err := c.holds(ctx, x.plan, x.position, x.Number); err != nil {
			return err
		}
		if what != "" {
			data["what"], data["plan"], data["row"], data["lease"] = what, x.plan, x.position, x.Number
			if _, err := c.append(ctx, record{token: token, serial: x.serial, data: data}); err != nil {
				return err
			}
		}
		if err := work(ctx, c); err != nil {
			return err
		}
		// A row that no card was changed for is for the next card.
		_, err := c.ExecContext(ctx, `UPDATE job SET holder = '', station = '', until = 0,
    card = CASE WHEN state = 'free' THEN '' ELSE card END
    WHERE plan = $1 AND position = $2`, x.plan, x.position)
		return err
	})
	return err
}

// leased refuses a lease that ran out, or that another station has.
func (c *change) leased(ctx context.Context, x *Lease) error {
	if x == nil {
		return nil
	}
	if err := c.holds(ctx, x.plan, x.position, x.Number); err != nil {
		return err
	}
	var over bool
	err := c.QueryRowContext(ctx, "SELECT until < "+c.l.now()+" FROM job WHERE plan = $1 AND position = $2", x.plan, x.position).Scan(&over)
	if err == nil && over {
		err = problem.New(problem.Refused, "the lease of the row ran out").
			Because("The ledger had no sign of life of this station for too long.")
	}
	return err
}

// holds refuses a number that is not that of the last lease of a row. 0 is no lease.
func (c *change) holds(ctx context.Context, plan string, position, lease int64) error {
	if lease == 0 {
		return nil
	}
	var last int64
	err := c.QueryRowContext(ctx, "SELECT lease FROM job WHERE plan = $1 AND position = $2", plan, position).Scan(&last)
	if err == nil && last != lease {
		err = problem.New(problem.Refused, "the row has another lease now").
			Because("This one has number %d, the last one has %d.", lease, last)
	}
	return err
}

// begun binds a row to the card that is changed for it.
func (c *change) begun(ctx context.Context, x *Lease, serial string) error {
	if x == nil {
		return nil
	}
	_, err := c.ExecContext(ctx, `UPDATE job SET card = $1, state = CASE WHEN state = 'free' THEN 'begun' ELSE state END WHERE plan = $2 AND position = $3`,
		serial, x.plan, x.position)
	return err
}

// freeRows gives rows back whose card cannot finish them.
func (c *change) freeRows(ctx context.Context, serial string, s State) error {
	if s == Issuing || s == Active || s == Suspended || s == Stock {
		return nil
	}
	_, err := c.ExecContext(ctx, `UPDATE job SET state = 'free', card = '', lease = lease + 1,
    holder = '', station = '', until = 0 WHERE card = $1 AND card <> '' AND state = 'begun'`, serial)
	return err
}
