package family

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// prober looks for applications on one card.
type prober struct {
	ch *iso7816.Channel
	// any says that the card selects any name, nil where that was not asked yet.
	any *bool
}

// lookFor selects one application; nil where it is not on the card. There are cards
// that answer every SELECT with 9000: a name in the answer decides, or what the
// application has of its own, or that the card refuses a name that nobody has.
func (p *prober) lookFor(ctx context.Context, probe card.Probe) (*card.Application, error) {
	answer, err := p.ch.Select(ctx, probe.AID)
	if probe.Answer != nil {
		return probe.Answer(ctx, p.ch, answer, err)
	}
	var refused *iso7816.StatusError
	switch {
	case errors.As(err, &refused):
		return nil, nil
	case err != nil:
		return nil, err
	}
	found := &card.Application{Name: probe.App, AID: fmt.Sprintf("%X", probe.AID)}
	if names(answer, probe.AID) || isOwn(answer) {
		return found, nil
	}
	doubtful, err := p.selectsAny(ctx)
	switch {
	case err != nil:
		return nil, err
	case !doubtful:
		return found, nil
	case probe.Confirm == nil:
		return nil, nil
	}
	if _, err := p.ch.Select(ctx, probe.AID); err != nil {
		return nil, err
	}
	if confirmed, err := probe.Confirm(ctx, p.ch); !confirmed {
		return nil, err
	}
	return found, nil
}

// names reports whether file control information (ISO/IEC 7816-4, 7.4) has a DF
// name, or an application template its identifier, that begins with aid.
func names(answer, aid []byte) bool {
	for _, path := range [][]iso7816.Tag{{0x6F, 0x84}, {0x62, 0x84}, {0x6F, 0x62, 0x84}, {0x61, 0x4F}} {
		if name, ok := iso7816.FindTLV(answer, path...); ok && bytes.HasPrefix(name, aid) {
			return true
		}
	}
	return false
}

// isOwn reports whether an answer has the form of no other application: some data that
// is no file control information.
func isOwn(answer []byte) bool {
	return len(answer) > 0 && !slices.Contains([]byte{0x61, 0x62, 0x64, 0x6F}, answer[0])
}

// selectsAny has the card select a proprietary name that no application has, once.
func (p *prober) selectsAny(ctx context.Context) (bool, error) {
	if p.any != nil {
		return *p.any, nil
	}
	_, err := p.ch.Select(ctx, nobody())
	var refused *iso7816.StatusError
	if err != nil && !errors.As(err, &refused) {
		return false, err
	}
	accepted := err == nil
	p.any = &accepted
	return accepted, nil
}

// nobody is an AID of the proprietary category, "F", that no application has
// (ISO/IEC 7816-4, 12.3.4).
func nobody() []byte { return append([]byte{0xF0}, "cardctl none"...) }
