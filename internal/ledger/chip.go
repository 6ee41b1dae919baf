package ledger

import "context"

// whatChip is the record of the chip that an application is on.
const whatChip = "chip"

// OnChip records that the application with a serial is on the chip with another one, both
// ways, before the card gets that serial.
func (e *Entry) OnChip(ctx context.Context, serial, chip string) error {
	serial, chip = exact(serial), exact(chip)
	token := random()
	_, err := e.write(ctx, token, func(ctx context.Context, c *change, card row) error {
		said := func(token, of string) error {
			_, err := c.append(ctx, record{token, of, card.person, map[string]any{"what": whatChip, "entry": e.number, "chip": chip, "card": serial}})
			return err
		}
		if err := said(token, serial); err != nil {
			return err
		}
		return said(random(), chip)
	})
	return err
}

// ChipOf is the chip that a card was seen on last; empty if it is not known.
func (l *Ledger) ChipOf(ctx context.Context, serial string) (string, error) {
	chip, _, err := l.seenOn(ctx, serial)
	return chip, err
}

// OnChip is the card that was seen last on a chip, or that has its serial; nil for none.
func (l *Ledger) OnChip(ctx context.Context, chip string) (*Card, error) {
	_, serial, err := l.seenOn(ctx, chip)
	if err == nil && serial != "" {
		var card *Card
		if card, err = l.Card(ctx, serial); card != nil {
			return card, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return l.Card(ctx, chip)
}

// seenOn is what the log says last of a serial that is a card's, or a chip's.
func (l *Ledger) seenOn(ctx context.Context, serial string) (chip, card string, err error) {
	err = l.Events(ctx, EventFilter{Serial: serial}, func(e Event) error {
		if s := e.said(); s.What == whatChip {
			chip, card = s.Chip, s.Card
		}
		return nil
	})
	return chip, card, err
}

// historyOfChip calls each with what the log has of the chip of a card.
func (l *Ledger) historyOfChip(ctx context.Context, serial string, each func(Event) error) error {
	chip, err := l.ChipOf(ctx, serial)
	if err != nil || chip == "" || chip == exact(serial) {
		return err
	}
	return l.Events(ctx, EventFilter{Serial: chip}, func(e Event) error {
		if e.said().What == whatChip { // the card has that too
			return nil
		}
		return each(e)
	})
}
