package pkcs15

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// tries are what the directory tells, as it was read. Where it tells none of this
// PIN the card is asked itself: VERIFY without data, which costs no try (ISO/IEC
// 7816-4, 11.6.6).
func (d openSC) tries(ctx context.Context, p PIN) (int, error) {
	found, err := d.card.Directory(ctx)
	if err != nil {
		return 0, err
	}
	now := found.PIN(p.ID)
	if now == nil || now.TriesLeft >= 0 {
		return triesOf(now), nil
	}
	ch, err := d.card.reach(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := ch.Select(ctx, pkcs15AID()); err != nil && iso7816.StatusOf(err) == 0 {
		return 0, err
	}
	on := files{ch: ch}
	if now.path != "" {
		if err := on.selectPath(ctx, []byte(now.path)); err != nil && iso7816.StatusOf(err) == 0 {
			return 0, err
		}
	}
	_, err = ch.Send(ctx, iso7816.Command{INS: iso7816.InsVerify, P2: byte(now.Reference)})
	if left, ok := iso7816.StatusOf(err).TriesLeft(); ok {
		return left, nil
	}
	switch iso7816.StatusOf(err) {
	case iso7816.StatusPINBlocked:
		return 0, nil
	case 0: // 9000 says that it is verified, or nothing
		return -1, err
	}
	return -1, nil
}

func triesOf(p *PIN) int {
	if p == nil {
		return -1
	}
	return p.TriesLeft
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

// puk is the object that the PIN names for it, if there is one.
func (d openSC) puk(ctx context.Context, p PIN) (PIN, error) {
	found, err := d.card.PINs(ctx)
	if err != nil {
		return PIN{}, err
	}
	named := found.PIN(p.unblockedBy)
	if named == nil || !named.Unblocking {
		limits := d.card.FirstPUK()
		limits.Reference = p.Reference
		return limits, nil
	}
	own := *named
	own.TriesLeft, err = d.card.driver.tries(ctx, own)
	return own, err
}
