package enroll

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/ca"
)

// Revoke revokes a certificate in the database of the CA, or ends its hold. It counts for
// others with the next CRL.
func (i *deskCA) Revoke(ctx context.Context, o *Order, r Revocation) error {
	if _, err := r.check(); err != nil {
		return err
	}
	serial, err := ca.ParseSerial(r.SerialNumber)
	if err != nil {
		return err
	}
	c, err := ca.Open(ctx, i.directory)
	if err != nil {
		return err
	}
	if r.Reason == removeFromCRL {
		_, err = c.Release(ctx, serial, o.Now())
	} else {
		_, err = c.Revoke(ctx, o.Access, serial, r.Reason, o.Now())
	}
	return errors.Join(err, c.Close())
}
