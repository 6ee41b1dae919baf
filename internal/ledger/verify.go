package ledger

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Verified is a log in which nothing was changed, put in or removed, as far as that can be
// known.
type Verified struct {
	// Records is how many there are.
	Records int64
	// Signed is the record up to which is signed; 0 if nothing is. After it a record could
	// be removed, or all of them made again, without a trace.
	Signed int64
	// By is the fingerprint of the key that signed, At when.
	By string
	At time.Time
}

// Verify reads the whole log. A record that was changed, put in or removed is a
// problem.Mismatch that names the first one. anchor is a signature that was kept outside
// the database; then no other key is trusted. It may be nil.
func (l *Ledger) Verify(ctx context.Context, anchor *Anchor) (*Verified, error) {
	signatures, err := l.signatures(ctx)
	if err != nil {
		return nil, err
	}
	if signatures, err = l.trusted(signatures, anchor); err != nil {
		return nil, err
	}
	at := map[int64][]Anchor{}
	for _, a := range signatures {
		at[a.Number] = append(at[a.Number], a)
	}
	v := &Verified{}
	err = l.inspect(ctx, func(s stored) error {
		v.Records = s.number
		if differs(anchor, s) {
			return changed(s.number)
		}
		for _, a := range at[s.number] {
			if err := v.accept(a, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if last := len(signatures) - 1; last >= 0 && signatures[last].Number > v.Records {
		return nil, removed(v.Records + 1)
	}
	return v, nil
}

// trusted are the signatures that count, by number.
func (l *Ledger) trusted(signatures []Anchor, anchor *Anchor) ([]Anchor, error) {
	if anchor == nil {
		return signatures, nil
	}
	if anchor.Ledger != l.id {
		return nil, problem.New(problem.Mismatch, "the anchor is of another ledger")
	}
	key, err := anchor.public()
	if err != nil {
		return nil, err
	}
	var trusted []Anchor
	for _, a := range signatures {
		if other, err := a.public(); err == nil && pubkey.Same(key, other) {
			trusted = append(trusted, a)
		}
	}
	trusted = append(trusted, *anchor) // last of its number: its time is not that of the database
	slices.SortStableFunc(trusted, func(a, b Anchor) int { return int(a.Number - b.Number) })
	return trusted, nil
}

// differs reports whether a record is another one than when the anchor was made.
func differs(anchor *Anchor, s stored) bool {
	if anchor == nil || s.number*prefix > int64(len(anchor.Records)) {
		return false
	}
	hash, err := hex.DecodeString(s.hash)
	return err != nil || !bytes.Equal(hash[:prefix], anchor.Records[(s.number-1)*prefix:s.number*prefix])
}

// accept checks a signature of a record.
func (v *Verified) accept(a Anchor, s stored) error {
	if err := a.check(); err != nil { // then it says nothing of the log
		return err
	}
	if a.Hash != s.hash {
		p := problem.New(problem.Mismatch, "the log is not the one that was signed up to record %d", a.Number)
		return p.Because("The first record that was changed, put in or removed is one of %d to %d.", v.Signed+1, a.Number)
	}
	key, err := a.public()
	if err != nil {
		return err
	}
	v.Signed, v.At, v.By = a.Number, a.At, pubkey.Fingerprint(key)
	return nil
}

// inspect calls each with every record, the oldest first, and refuses one that does not fit
// its hash or the record before.
func (l *Ledger) inspect(ctx context.Context, each func(stored) error) error {
	next, before := int64(1), ""
	return l.db.Rows(ctx, func(scan func(...any) error) error {
		var s stored
		if err := scan(&s.number, &s.at, &s.token, &s.serial, &s.person, &s.data, &s.previous, &s.hash); err != nil {
			return changed(next) // what stands there is no number, for example
		}
		switch {
		case s.number < next:
			return putIn(s.number)
		case s.number > next:
			return removed(next)
		case s.digest() != s.hash:
			return s.moved()
		case s.previous != before:
			return replaced(s.number)
		}
		next, before = next+1, s.hash
		return each(s)
	}, "SELECT number, at, token, serial, person, data, previous, hash FROM event ORDER BY number")
}

// moved says what was done to a record that does not fit its hash: it has another number
// if one before it was put in or removed.
func (s stored) moved() error {
	const most = 1000
	here := s.number
	for by := int64(1); by <= most; by++ {
		s.number = here - by
		if s.digest() == s.hash {
			return putIn(here - by)
		}
		s.number = here + by
		if s.digest() == s.hash {
			return removed(here)
		}
	}
	return changed(here)
}

func changed(number int64) error {
	return problem.New(problem.Mismatch, "record %d of the log was changed", number).
		Because("It does not fit its hash, or the one that was signed.")
}

func putIn(number int64) error {
	return problem.New(problem.Mismatch, "record %d of the log was put in", number)
}

func removed(number int64) error {
	return problem.New(problem.Mismatch, "record %d of the log was removed", number)
}

// replaced is for a record that is whole, after one that is not the one before it.
func replaced(number int64) error {
	if number == 1 {
		return putIn(number)
	}
	return problem.New(problem.Mismatch, "record %d of the log was changed", number-1).
		Because("Its hash is not the one that record %d follows.", number)
}
