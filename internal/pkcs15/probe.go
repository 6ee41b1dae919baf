package pkcs15

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// HasApplet reports whether the card has an IsoApplet, in one command. What was
// selected before is not any more.
func HasApplet(ctx context.Context, ch *iso7816.Channel) (bool, error) {
	_, err := ch.Select(ctx, appletAID())
	var refused *iso7816.StatusError
	if errors.As(err, &refused) {
		return false, nil
	}
	return err == nil, err
}
