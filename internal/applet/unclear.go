package applet

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// unclear reports whether an error of a command leaves open whether the card
// carried it out.
func unclear(err error) bool {
	if iso7816.StatusOf(err) != 0 {
		return !iso7816.Refused(err)
	}
	for _, cause := range []error{
		iso7816.ErrCardRemoved, iso7816.ErrCardReset, iso7816.ErrAnswerLost, gp.ErrResponseMAC,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// delete is DELETE. Where the answer leaves open whether the card did it, the
// card is looked at: what is not there any more is deleted. After an error, known
// tells that nothing was deleted.
func (c *card) delete(ctx context.Context, kind gp.Kind, aid gp.AID, related bool) (known bool, err error) {
	err = c.domain.Delete(ctx, aid, related)
	if err == nil || iso7816.Refused(err) {
		return true, err
	}
	there, looked := c.has(ctx, kind, aid)
	switch {
	case looked != nil:
		return false, err
	case there:
		return !related, err // of what belongs to it, some may be gone
	}
	return true, nil
}

// has reads from the card whether it has something, through a new secure channel:
// after an answer that leaves something open, the card and this side may not
// agree on the old one.
func (c *card) has(ctx context.Context, kind gp.Kind, aid gp.AID) (bool, error) {
	if err := c.reopen(ctx); err != nil {
		return false, err
	}
	entries, err := c.domain.Status(ctx, kind, aid)
	if find(entries, aid) != nil {
		return true, nil
	}
	return false, err
}
