package inventory

import (
	"context"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
)

// Identify tells what the card on a line is.
func Identify(ctx context.Context, line *desk.Line) (card.Identity, error) {
	return family.Identify(ctx, line)
}

// Serials are the serials that the card on a line answers to.
func Serials(ctx context.Context, line *desk.Line) ([]string, error) {
	return family.Serials(ctx, line)
}
