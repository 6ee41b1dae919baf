package ledger

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Change is what is about to be done with a card.
type Change struct {
	// Command is what does it, in the words of the command line.
	Command                     string
	Serial, Family, Reader, Ref string
	// Person is whose card it becomes; nil leaves it with whom it is.
	Person *Person
	// State is what the card is from now on; empty for what it was, such as for an active
	// card that is worked on.
	State State
	// Init says that the card is initialised: then a card that came back, or is damaged or
	// unfinished, is nobody's, and stock, before it goes into State. Nothing that was on it
	// is there afterwards.
	Init bool
	// Steps are what is to be done, for the log; nil where that is not known.
	Steps []string
	// Data are further facts, for the log. They may hold neither a secret nor a person's
	// name: the log cannot forget.
	Data map[string]any
	// Lease is the row that the card is for; nil for none.
	Lease *Lease
}

// Entry is a change that was announced. End ends it.
type Entry struct {
	l      *Ledger
	number int64
	serial string
	lease  *Lease
}

// Number is that of the record.
func (e *Entry) Number() int64 { return e.number }

// exact is a serial as the ledger has it.
func exact(serial string) string { return strings.ToUpper(strings.TrimSpace(serial)) }

// Begin records a change before the card is changed: after an error the card must be left
// alone. A card that is somebody else's, a state that does not follow, and a lease that
// ran out are a problem.Refused.
func (l *Ledger) Begin(ctx context.Context, c Change) (*Entry, error) {
	e := &Entry{l: l, serial: exact(c.Serial), lease: c.Lease}
	if e.serial == "" {
		return nil, problem.New(problem.Refused, "a card without a serial cannot be in the ledger")
	}
	token := random()
	number, err := l.write(ctx, token, func(ctx context.Context, tx *change) (err error) {
		if err := tx.leased(ctx, c.Lease); err != nil {
			return err
		}
		e.number, err = tx.begin(ctx, token, e.serial, c)
		return err
	})
	if number != 0 { // it was stored, and only the answer was lost
		e.number = number
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// row is a card as it is stored.
type row struct {
	serial, family, reader string
	state                  State
	person, since, entry   int64
}

// card reads a card; one that the ledger does not have is stock, and nobody's.
func (c *change) card(ctx context.Context, serial string) (r row, known bool, err error) {
	r = row{serial: serial, state: Stock}
	err = c.QueryRowContext(ctx, "SELECT family, reader, state, person, since, entry FROM card WHERE serial = $1", serial).
		Scan(&r.family, &r.reader, &r.state, &r.person, &r.since, &r.entry)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	return r, true, err
}

// put stores a card.
func (c *change) put(ctx context.Context, r row) error {
	_, err := c.ExecContext(ctx, `INSERT INTO card (serial, family, reader, state, person, since, entry) VALUES ($1, $2, $3, $4, $5, `+c.l.now()+`,
    $6)
    ON CONFLICT (serial) DO UPDATE SET family = excluded.family, reader = excluded.reader,
    person = excluded.person, entry = excluded.entry,
    since = CASE WHEN card.state = excluded.state THEN card.since ELSE excluded.since END, state = excluded.state`,
		r.serial, r.family, r.reader, r.state, r.person, r.entry)
	return err
}

func (c *change) begin(ctx context.Context, token, serial string, wanted Change) (int64, error) {
	card, known, err := c.card(ctx, serial)
	if err != nil {
		return 0, err
	}
	was := card
	if wanted.Init && card.state.blank() {
		card.state = Stock
		if was.state != Issuing {
			card.person = 0
		}
	}
	person, err := c.owner(ctx, card, wanted.Person)
	if err != nil {
		return 0, err
	}
	if wanted.Family != "" {
		card.family = wanted.Family
	}
	if person != was.person || !was.state.Counts() {
		if err := c.second(ctx, wanted.Lease, card); err != nil {
			return 0, err
		}
	}
	to := card.state
	if wanted.State != "" {
		if err := card.state.to(wanted.State, serial); err != nil {
			return 0, err
		}
		to = wanted.State
	}
	data := c.l.about(wanted)
	if to != was.state || !known {
		data["state"] = to
	}
	if wanted.Init {
		data["init"] = true
	}
	if wanted.Lease != nil {
		data["plan"], data["row"], data["lease"] = wanted.Lease.plan, wanted.Lease.position, wanted.Lease.Number
	}
	if further := wanted.data(); further != nil {
		data["data"] = further
	}
	number, err := c.append(ctx, record{token, serial, person, data})
	if err != nil {
		return 0, err
	}
	if wanted.Person != nil {
		if err := c.keepPerson(ctx, person, *wanted.Person); err != nil {
			return 0, err
		}
	}
	card.state, card.person, card.entry = to, person, number
	if wanted.Reader != "" {
		card.reader = wanted.Reader
	}
	if err := c.put(ctx, card); err != nil {
		return 0, err
	}
	if wanted.Init {
		if err := c.erased(ctx, serial); err != nil {
			return 0, err
		}
	}
	if err := c.freeRows(ctx, serial, to); err != nil {
		return 0, err
	}
	return number, c.begun(ctx, wanted.Lease, serial)
}

// about are the facts of a change that is announced, as far as they are known.
func (l *Ledger) about(c Change) map[string]any {
	data := map[string]any{"what": whatBegin, "command": c.Command}
	for name, value := range map[string]string{"family": c.Family, "reader": c.Reader, "ref": c.Ref, "station": l.o.Station} {
		if value != "" {
			data[name] = value
		}
	}
	return data
}

// write is Ledger.write of something about the card, while the row that it is for is this
// station's.
func (e *Entry) write(ctx context.Context, token string, work func(context.Context, *change, row) error) (number int64, err error) {
	return e.l.write(ctx, token, func(ctx context.Context, c *change) error {
		if err := c.leased(ctx, e.lease); err != nil {
			return err
		}
		card, _, err := c.card(ctx, e.serial)
		if err != nil {
			return err
		}
		return work(ctx, c, card)
	})
}

// owner is the number of the person whose card it becomes. It is that of the next record
// for somebody who was not known.
func (c *change) owner(ctx context.Context, card row, p *Person) (int64, error) {
	if p == nil || p.ID == "" {
		return card.person, nil
	}
	number, err := c.person(ctx, p.ID)
	if err != nil {
		return 0, err
	}
	if card.person != 0 && card.person != number && card.state != Stock {
		return 0, othersCard(card.serial, card.state)
	}
	if number == 0 {
		last, _, err := c.head(ctx)
		return last + 1, err
	}
	return number, nil
}

func othersCard(serial string, s State) error {
	return problem.New(problem.Refused, "card %s is another person's", serial).
		Because("In the ledger it is %s, for somebody else.", s)
}

// erased notes that nothing of what the ledger has is on the card any more. Card keys open
// what an application is installed in: erasing that does not change them.
func (c *change) erased(ctx context.Context, serial string) error {
	if _, err := c.ExecContext(ctx, "UPDATE credential SET ended = 1 WHERE serial = $1", serial); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, "UPDATE secret SET ended = 1 WHERE serial = $1 AND known = 1 AND kind <> $2", serial, secret.CardKeys)
	return err
}

// afterwards is for records of what was done: an interruption does not stop them.
func (l *Ledger) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), l.o.Patience+5*time.Second)
}
