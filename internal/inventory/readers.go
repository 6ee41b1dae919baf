package inventory

import (
	"context"
	"fmt"
	"sync"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
)

// Reader is a reader, and what the card in it is.
type Reader struct {
	Index       int            `json:"index"`
	Name        string         `json:"name"`
	CardPresent bool           `json:"cardPresent"`
	ATR         string         `json:"atr,omitempty"`
	Card        *card.Identity `json:"card,omitempty"`
	// Err is why a card that is there could not be looked at.
	Err error `json:"-"`

	serials []string // that the card answers to, as far as they were read
}

// Readers are the readers that are meant, and the simulated cards after them.
// What goes wrong with one card is no reason not to list the others. With wait
// it waits until the card that is meant is there. unreachable is why the readers
// of PC/SC could not be listed, where there are simulated cards to list.
func Readers(ctx context.Context, d *desk.Desk, wait bool) (list []Reader, unreachable error, err error) {
	places, unreachable, err := d.Places(ctx, wait, func(p desk.Place) (is, certain bool) {
		r := look(ctx, d, p)
		return isWanted(d, &r), r.Err == nil
	})
	if err != nil {
		return nil, unreachable, err
	}
	found := lookAt(ctx, d, places)
	if err := ctx.Err(); err != nil {
		return nil, unreachable, err
	}
	for _, r := range found {
		if isWanted(d, &r) {
			list = append(list, r)
		}
	}
	return list, unreachable, nil
}

// lookAt looks at all places side by side, or in turn where that is traced, so that
// the trace can be read.
func lookAt(ctx context.Context, d *desk.Desk, places []desk.Place) []Reader {
	found := make([]Reader, len(places))
	var looks sync.WaitGroup
	for i, p := range places {
		one := func() { found[i] = look(ctx, d, p) }
		if d.Trace != nil {
			one()
			continue
		}
		looks.Go(one)
	}
	looks.Wait()
	return found
}

func isWanted(d *desk.Desk, r *Reader) bool {
	return d.Meant.Serial == "" || r.Card != nil && desk.HasSerial(r.serials, d.Meant.Serial)
}

// look says what is in a place.
func look(ctx context.Context, d *desk.Desk, p desk.Place) Reader {
	r := Reader{Index: p.Index, Name: p.Name, CardPresent: p.CardPresent, ATR: fmt.Sprintf("%X", p.ATR)}
	if r.Err = p.Err; !p.CardPresent || p.Err != nil {
		return r
	}
	line, err := d.OpenIn(ctx, p.Name)
	if err != nil {
		r.Err = err
		return r
	}
	r.ATR = fmt.Sprintf("%X", line.ATR())
	found, err := Identify(ctx, line)
	r.serials = []string{found.Serial}
	if err == nil && d.Meant.Serial != "" && !desk.HasSerial(r.serials, d.Meant.Serial) {
		r.serials, err = Serials(ctx, line) // another application's
	}
	if r.Err = line.Done(err); r.Err == nil {
		r.Card = &found
	}
	return r
}
