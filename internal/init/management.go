package cardinit

import (
	"context"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// NewManagementKey is what a user decides about the new management key of a card.
type NewManagementKey = card.NewManagementKey

// ManagementKey is what a card is managed with now.
type ManagementKey = card.ManagementKeyReport

// ManagementKeyReport is what SetManagementKey did.
type ManagementKeyReport struct {
	// Reader is where the card is; Kind what it is called.
	Reader string `json:"reader"`
	Kind   string `json:"-"`
	Serial string `json:"serial"`
	ManagementKey
}

// SetManagementKey changes the management key of the card that is meant.
func SetManagementKey(ctx context.Context, d *desk.Desk, a desk.Access, n NewManagementKey) (report ManagementKeyReport, err error) {
	w := family.Wanted{Takes: family.Apps(func(f card.Family) bool { return f.Managed })}
	err = family.WithCard(ctx, d, w, a, func(ctx context.Context, here family.At, c card.Card) error {
		report.Reader, report.Kind, report.Serial = here.Place, here.Kind(), c.Identity().Serial
		if report.ManagementKey, err = SetManagementKeyOn(ctx, c, n); err == nil {
			here.Recording.Changed(desk.Change{Secret: secret.ManagementKey})
		}
		return err
	})
	return report, err
}

// SetManagementKeyOn changes the management key of a card.
func SetManagementKeyOn(ctx context.Context, c card.Card, n NewManagementKey) (report ManagementKey, err error) {
	able, ok := c.(card.Manageable)
	if !ok {
		return report, problem.New(problem.NotSupported, "this card has no management key")
	}
	return able.SetManagementKey(ctx, n)
}
