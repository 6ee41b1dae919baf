package piv

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
)

// PutCertificate writes a certificate, compressed where it does not fit otherwise.
func (k *slotKey) PutCertificate(ctx context.Context, leaf []byte, chain [][]byte) error {
	what := k.ref.String() + ": writing the certificate"
	if len(chain) > 0 {
		return problem.New(problem.NotSupported, "%s: a PIV card does not store issuer certificates", k.ref).
			Because("It has room for one certificate per key.")
	}
	if err := k.manageConfirmed(ctx); err != nil {
		return explain(err, what, key.Untouched)
	}
	if err := k.store(ctx, leaf); err != nil {
		return explain(err, what, "")
	}
	return explain(k.keepHistory(ctx, 0, k.slot), k.ref.String()+": writing the key history", "")
}

// store writes a certificate, compressed if the card has no room for it as it is.
func (k *slotKey) store(ctx context.Context, leaf []byte) error {
	for _, compressed := range []bool{false, true} {
		content, err := app.CertificateObject(leaf, compressed)
		if err == nil {
			err = k.write(ctx, content)
		}
		switch {
		case !full(err):
			return err
		case compressed:
			return key.Wrap(problem.Failed, err, "the card has no room for the certificate",
				fmt.Sprintf("It has %d bytes, and the card refused it compressed too [%s].", len(leaf), iso7816.StatusOf(err))).
				Advise(advice.Do(advice.ShowCard))
		}
	}
	return nil
}

// full reports whether the card refused an object for its length.
func full(err error) bool {
	status := iso7816.StatusOf(err)
	return status == iso7816.StatusNoSpace || status == iso7816.StatusWrongLength
}

func (k *slotKey) write(ctx context.Context, content []byte) error {
	selected, err := k.application(ctx)
	if err != nil {
		return err
	}
	k.certificate = nil
	return selected.PutData(ctx, k.slot.Certificate(), content)
}

// DeleteCertificate looks whether the certificate is gone where the answer does not
// tell.
func (k *slotKey) DeleteCertificate(ctx context.Context) error {
	what := k.ref.String() + ": deleting the certificate"
	if err := k.manage(ctx); err != nil {
		return explain(err, what, key.Untouched)
	}
	if err := k.deleteCertificate(ctx); err != nil {
		return explain(err, what, "")
	}
	return explain(k.keepHistory(ctx, k.slot, 0), k.ref.String()+": writing the key history", "")
}

func (k *slotKey) deleteCertificate(ctx context.Context) error {
	err := k.write(ctx, nil)
	if err == nil || iso7816.Refused(err) || iso7816.StatusOf(err) == 0 {
		return err
	}
	there, failed := k.ReadBackCertificate(ctx)
	switch {
	case failed != nil:
		return key.Explain(err, "deleting the certificate", "It is not known whether the certificate is still on the card.")
	case there == nil:
		return nil
	}
	return key.Explain(err, "deleting the certificate", "The card still has a certificate.")
}
