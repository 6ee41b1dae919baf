package provision

import (
	"context"
	"slices"

	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/ledger"
)

// A Java card has the serial of its chip, and that of the applet on it, which a plan or a
// file gives it. The ledger knows the card by the chip until the applet is on it, and by the
// applet afterwards. Which chip that is on, it keeps: two cards may report one serial.

// knowByChip takes the card for the one that the ledger has for its chip, if it does not
// know the serial of the applet.
func (w *work) knowByChip(ctx context.Context) (found bool, err error) {
	l := w.run.o.Ledger
	if l == nil || w.meant != nil || w.chip == "" && w.installed == "" {
		return false, nil
	}
	var c *ledger.Card
	if w.installed != "" {
		c, err = l.Card(ctx, w.installed)
	} else {
		c, err = l.OnChip(ctx, w.chip)
	}
	if err != nil {
		return false, err
	}
	if c != nil && slices.Contains(w.serials, c.Serial) && c.Serial != w.chip { // it is another application
		c = nil
	}
	switch {
	case c != nil:
		w.becomes, w.known, w.serial = w.serial, c, c.Serial
		if w.becomes == "" && c.Serial != w.chip {
			w.becomes = c.Serial
		}
	case w.serial == "" && w.chip != "":
		w.serial = w.chip
	default:
		return false, nil
	}
	if w.becomes == "" {
		w.becomes = w.newSerial()
	}
	return true, nil
}

// sameChip refuses a card that reports the serial of another one, and one whose applet is
// not the one that the ledger knows of it.
func (w *work) sameChip(ctx context.Context) (err error) {
	l := w.run.o.Ledger
	if l == nil || w.meant != nil || w.known == nil {
		return nil
	}
	if w.installed != "" && w.serial != w.installed {
		return w.refused("it reports the serial of another card", "The ledger has "+w.serial+" already. Two cards with one serial cannot be told apart.")
	}
	if w.becomes != "" && w.report.Serial != "" && w.serial != w.chip && w.installed == "" && w.known.State.Held() {
		return w.refused("it reports the serial "+w.report.Serial, "The ledger has its chip, "+w.chip+", as "+w.serial+".")
	}
	if w.chipInLedger, err = l.ChipOf(ctx, w.serial); err != nil || w.chipInLedger == "" {
		return err
	}
	if w.chip == "" {
		if w.chip, err = family.Chip(ctx, w.here.Line); err != nil {
			return err
		}
		if err := w.reopen(ctx); err != nil {
			return err
		}
	}
	if w.chip != w.chipInLedger {
		chip := w.chip
		if chip == "" {
			chip = "none"
		}
		return w.refused("it reports the serial of another card",
			"The ledger has "+w.serial+" on the chip "+w.chipInLedger+", and this card reports "+chip+".")
	}
	return nil
}

// unnamed says that the ledger has yet to learn the serial of a card, or that it got its
// applet.
func (w *work) unnamed() bool {
	return w.meant == nil && (w.installed != "" || w.becomes != "" && w.becomes != w.serial)
}

// seenOnChip records on which chip the card with a serial is, before it is known by that.
func (w *work) seenOnChip(ctx context.Context, serial string) error {
	if w.chip == "" || serial == w.chip || serial == w.serial && w.chip == w.chipInLedger {
		return nil
	}
	if err := w.entry.OnChip(ctx, serial, w.chip); err != nil {
		return err
	}
	w.chipInLedger = w.chip
	return nil
}
