package piv

import (
	"context"

	app "github.com/cardctl/cardctl/internal/piv"
)

// keepHistory writes the key history object after a certificate left a slot or came to
// another, 0 for none, if that changes what the object has to say: by it, programs look
// for retired keys. What it says of certificates elsewhere stays.
func (c *onCard) keepHistory(ctx context.Context, left, came app.Slot) error {
	lost, gained := left.Position(), came.Position()
	if gained == 0 && lost == 0 {
		return nil
	}
	selected, err := c.application(ctx)
	if err != nil {
		return err
	}
	object, err := selected.GetData(ctx, app.KeyHistory)
	if err != nil {
		return err
	}
	var history app.History
	if object != nil {
		if history, err = app.ParseHistory(object); err != nil {
			return err
		}
	}
	before := history.OnCard
	highest := int(before)
	if object == nil || highest > app.RetiredSlots {
		highest = app.RetiredSlots
	}
	// What the object says is looked at if there is none, or if its last slot lost its
	// certificate.
	if object == nil || highest == lost {
		for ; highest > gained; highest-- {
			if highest == lost {
				continue
			}
			der, err := selected.GetData(ctx, app.RetiredAt(highest).Certificate())
			if err != nil {
				return err
			}
			if der != nil {
				break
			}
		}
	}
	if history.OnCard = byte(max(highest, gained)); history.OnCard == before {
		return nil
	}
	return selected.PutData(ctx, app.KeyHistory, history.Object())
}
