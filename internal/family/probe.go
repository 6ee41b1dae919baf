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
	// refuses says that what is selected refuses names that are not on the card: a card
	// may hand a SELECT of them to its current application.
	refuses bool
}

// lookFor selects one application; nil where it is not on the card. There are cards
// that answer every SELECT with 9000: a name in the answer decides, or that the card
// refused a name before, or refuses one that nobody has, or what the application has
// of its own.
func (p *prober) lookFor(ctx context.Context, probe card.Probe) (*card.Application, error) {
	before := p.refuses
	answer, err := p.ch.Select(ctx, probe.AID)
	var refused *iso7816.StatusError
	p.refuses = errors.As(err, &refused) && iso7816.Refused(err)
	switch {
	case probe.Answer != nil:
		return probe.Answer(ctx, p.ch, answer, err)
	case refused != nil:
		return nil, nil
	case err != nil:
		return nil, err
	}
	found := &card.Application{Name: probe.App, AID: fmt.Sprintf("%X", probe.AID)}
	if before || names(answer, probe.AID) || isOwn(answer) {
		return found, nil
	}
	there, err := p.confirm(ctx, probe)
	if !there {
		return nil, err
	}
	return found, nil
}

// confirm has the card select a name that no application has. If it does, what is asked
// for is what only the application has.
func (p *prober) confirm(ctx context.Context, probe card.Probe) (bool, error) {
	_, err := p.ch.Select(ctx, nobody())
	if p.refuses = iso7816.StatusOf(err) != 0; p.refuses {
		return true, nil
	}
	if err != nil || probe.Confirm == nil {
		return false, err
	}
	if _, err := p.ch.Select(ctx, probe.AID); err != nil {
		return false, err
	}
	return probe.Confirm(ctx, p.ch)
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

// nobody is an AID of the proprietary category, "F", that no application has
// (ISO/IEC 7816-4, 12.3.4).
func nobody() []byte { return append([]byte{0xF0}, "cardctl none"...) }
