package family

import (
	"context"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
)

// recorded does work on the open card, after its record was begun.
func (h At) recorded(ctx context.Context, ref string, work func(context.Context) error) error {
	if err := h.Record(ctx, ref); err != nil {
		return err
	}
	return work(desk.WithRecording(ctx, h.Recording))
}

// Record begins the record of the open card, or of a key on it, before the first change.
func (h At) Record(ctx context.Context, ref string) error {
	if !h.Recording.Kept() {
		return nil
	}
	if numbered, ok := h.Card.(card.Numbered); ok {
		if err := numbered.Number(ctx); err != nil {
			return err
		}
	}
	return h.Begin(ctx, ref, func() string { return h.Card.Identity().Serial })
}

// Begin is Record of a card that only its workflow knows the serial of.
func (h At) Begin(ctx context.Context, ref string, serial func() string) error {
	return h.Recording.Begin(ctx, desk.Subject{Place: h.Place, Ref: ref}, serial)
}
