package provision

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// know finds out what the ledger knows of the card. One that has no serial yet is announced
// with the one that it gets, or, where it gives itself one, with another until then.
func (w *work) know(ctx context.Context) (err error) {
	l := w.run.o.Ledger
	if w.serial != "" && l != nil {
		if w.known, err = l.Card(ctx, w.serial); err != nil || w.known != nil {
			return err
		}
	}
	if found, err := w.knowByChip(ctx); found || err != nil {
		return err
	}
	switch {
	case w.meant != nil: // its name tells the row, and the row the card
		w.becomes = w.serial
		announced := provisional(w.meant)
		if l != nil {
			w.known, err = l.Card(ctx, announced)
		}
		if w.known != nil || w.serial == "" {
			w.serial = announced
		}
		return err
	case w.serial != "":
		return nil
	}
	if err := w.reopen(ctx); err != nil { // it may not have told
		return err
	}
	if w.serial = w.card.Identity().Serial; w.serial != "" {
		w.report.Serial = w.serial
		return w.know(ctx)
	}
	w.becomes = w.newSerial()
	if w.known, err = w.interrupted(ctx); err != nil {
		return err
	}
	w.serial = w.becomes
	if w.known != nil {
		w.announced()
	}
	return nil
}

// announced takes the card for the one that the ledger has and that nobody has seen since.
// One that gives itself a serial of the same form gets the one that it was announced with.
func (w *work) announced() {
	if w.serial = w.known.Serial; len(w.serial) == len(w.becomes) {
		w.becomes = w.serial
	}
}

// numberless refuses a card that has no serial, and gets none.
func (w *work) numberless(erases bool) error {
	if w.becomes == "" || w.meant != nil || erases || w.report.Serial != "" {
		return nil
	}
	return problem.New(problem.Failed, "the card in %s does not report its serial", w.here.Place).
		Because("The ledger could not find it again. Nothing on the card was changed.").Advise(advice.Do(advice.ShowCard))
}

// rename has the ledger know the card by the serial that it has, or gets.
func (w *work) rename(ctx context.Context, serial string) error {
	if serial == "" || serial == w.serial {
		return nil
	}
	if err := w.seenOnChip(ctx, serial); err != nil {
		return err
	}
	if err := w.entry.Named(ctx, serial); err != nil {
		return err
	}
	w.serial = serial
	return nil
}

// lend has the ledger give the card its row.
func (w *work) lend(ctx context.Context) (*ledger.Lease, error) {
	named, err := w.rowNaming()
	if err != nil {
		return nil, err
	}
	lease, err := w.run.o.Ledger.ClaimNamed(ctx, w.kind.hash, w.serial, named)
	if lease != nil || err != nil || w.meant == nil || w.serial == provisional(w.meant) {
		return lease, err
	}
	w.serial = provisional(w.meant) // which the row has
	return w.run.o.Ledger.Claim(ctx, w.kind.hash, w.serial)
}

// waitTime is how often a row that another station holds is asked for.
const waitTime = 2 * time.Second

// waitForRow waits while other stations hold the rows that are left: one that ended without
// a word gives its rows back after a while. The lease is nil if none is.
func (w *work) waitForRow(ctx context.Context) (lease *ledger.Lease, err error) {
	for told := false; lease == nil && err == nil; {
		var station string
		if station, err = w.heldBy(ctx); station == "" || err != nil {
			return nil, err
		}
		if !told {
			told = true
			w.tell("wait for a row", "", "the station "+station+" holds it")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(waitTime):
		}
		if w.becomes != "" && w.meant == nil { // it may be the card that was announced
			if w.known, err = w.interrupted(ctx); err != nil {
				return nil, err
			}
			if w.known != nil {
				w.announced()
			}
		}
		lease, err = w.lend(ctx)
	}
	return lease, err
}

// rowNaming is the serial by which a row names the card: a row may have a unique ending.
func (w *work) rowNaming() (string, error) {
	if w.meant != nil && w.known != nil { // in a table that came later, too
		return provisional(w.meant), nil
	}
	named := w.serial
	found := 0
	for i := range w.run.rows {
		if w.run.rows[i].kind != w.kind {
			continue
		}
		if serial := w.run.rows[i].plan.Card.Serial; serial != "" && desk.HasSerial([]string{w.serial}, serial) {
			named = serial
			found++
		}
	}
	if found > 1 {
		return "", w.refused(fmt.Sprintf("%d rows name this card", found), "A serial in a row, or its ending, has to be that of one card.")
	}
	return named, nil
}

// heldBy is another station that holds a row of the plan which any card may get; empty for
// none.
func (w *work) heldBy(ctx context.Context) (station string, err error) {
	r := w.run
	err = r.o.Ledger.Rows(ctx, w.kind.hash, func(row ledger.RowState) error {
		if row.Station != "" && row.Serial == "" && row.Progress != ledger.Done && !r.works(row.Key) {
			station = row.Station
		}
		return nil
	})
	return station, err
}

// works reports whether a card of this run has a row.
func (r *run) works(key string) bool {
	r.turn.Lock()
	defer r.turn.Unlock()
	for i := range r.rows {
		if r.rows[i].key(r.o) == key {
			return r.stages[i] != free
		}
	}
	return false
}

// interrupted is a card of this plan that nobody has seen since it was announced: the one
// that is blank now was taken out before it got its serial. It is nil if there is none.
func (w *work) interrupted(ctx context.Context) (*ledger.Card, error) {
	if w.kind.hash == "" {
		return nil, nil
	}
	var begun []string
	err := w.run.o.Ledger.Rows(ctx, w.kind.hash, func(row ledger.RowState) error {
		if row.Progress == ledger.Begun && row.Station == "" && row.Serial == "" {
			begun = append(begun, row.Card)
		}
		return nil
	})
	for _, serial := range begun {
		if err != nil {
			break
		}
		var c *ledger.Card
		if c, err = w.run.o.Ledger.Card(ctx, serial); err == nil && c != nil && c.State == ledger.Issuing && !given(c, len(c.Serial) == len(w.becomes)) {
			return c, nil
		}
	}
	return nil, err
}

// given reports whether a card is known to have got anything. One that gives itself its
// serial has secrets of the factory before.
func given(c *ledger.Card, itself bool) bool {
	if len(c.Credentials) > 0 {
		return true
	}
	for _, s := range c.Secrets {
		if s.Set && (!itself || s.Keep != ledger.KeepFactory) {
			return true
		}
	}
	return false
}

// newSerial is a serial for a card that has none yet, so that the ledger knows it before it
// is changed.
func (w *work) newSerial() string {
	const number, guid = 8, 16
	var serial [guid]byte
	_, _ = rand.Read(serial[:]) // never fails
	if _, presets := w.card.(card.Preset); presets {
		return fmt.Sprintf("%X", serial)
	}
	return fmt.Sprintf("%X", serial[:number])
}

// provisional is what a token of a row is announced with before it has a serial: the same
// after a cut.
func provisional(row *wantedRow) string {
	const length = 8
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", row.plan.Person.ID, row.plan.Card.Label+row.plan.Card.Token))
	return fmt.Sprintf("%X", sum[:length])
}

// sealedAway reports whether the card may have a secret of an earlier run that nobody here
// can read.
func (w *work) sealedAway() bool {
	for name, one := range w.purse.wanted {
		if pending := w.pending(name); one.generate != nil && pending != nil && !w.run.readable(pending) {
			return true
		}
	}
	return false
}

// sameAsBefore has the card get the secrets of the run that was interrupted: some of them it
// may have.
func (w *work) sameAsBefore(ctx context.Context) (err error) {
	for name, one := range w.purse.wanted {
		pending := w.pending(name)
		if one.generate == nil || pending == nil || len(pending.Blob) == 0 {
			continue
		}
		if one.value, err = w.unseal(ctx, pending, secret.Request{Name: name}); err != nil {
			return err
		}
		one.sealed, one.tried = pending.ID, true
	}
	return nil
}
