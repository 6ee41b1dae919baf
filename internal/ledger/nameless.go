package ledger

import "context"

// Announce is Begin of a card that has no serial yet, such as one without a structure:
// only the log has it. What it becomes is begun again, by its serial.
func (l *Ledger) Announce(ctx context.Context, c Change) (*Entry, error) {
	e := &Entry{l: l}
	token := random()
	number, err := l.write(ctx, token, func(ctx context.Context, tx *change) (err error) {
		e.number, err = tx.append(ctx, record{token: token, data: l.about(c)})
		return err
	})
	if number != 0 {
		e.number = number
	}
	return e, err
}
