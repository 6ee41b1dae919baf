package pkcs15

import (
	"context"

	"github.com/cardctl/cardctl/internal/secret"
)

// tries are what the directory tells, as it was read.
func (d openSC) tries(ctx context.Context, p PIN) (int, error) {
	found, err := d.card.Directory(ctx)
	if err != nil {
		return 0, err
	}
	if now := found.PIN(p.ID); now != nil {
		return now.TriesLeft, nil
	}
	return -1, nil
}

func (d openSC) changePIN(ctx context.Context, p PIN, old, replacement *secret.Bytes) error {
	_, err := d.card.tool(ctx, call{program: "pkcs15-tool", args: []string{"--change-pin", "--auth-id", p.ID}, secrets: []handover{
		{"--pin", old}, {"--new-pin", replacement},
	}})
	return d.card.judge(ctx, err, p, "changing the "+p.Name())
}

func (d openSC) unblockPIN(ctx context.Context, p, byPUK PIN, puk, replacement *secret.Bytes) error {
	_, err := d.card.tool(ctx, call{program: "pkcs15-tool", args: []string{"--unblock-pin", "--auth-id", p.ID}, secrets: []handover{
		{"--puk", puk}, {"--new-pin", replacement},
	}})
	return d.card.judge(ctx, err, byPUK, "unblocking the "+p.Name())
}

func (d openSC) puk(_ context.Context, p PIN) (PIN, error) {
	limits := d.card.FirstPUK()
	limits.Reference = p.Reference
	return limits, nil
}
