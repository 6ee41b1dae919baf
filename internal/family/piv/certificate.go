package piv

import (
	"context"

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
	if k.slot == app.Attestation {
		return problem.New(problem.NotSupported, "cardctl does not replace the certificate of the attestation key").
			Because("The maker put it on the card, and no reset restores it.")
	}
	before, err := k.look(ctx)
	if err == nil {
		err = k.manage(ctx)
	}
	if err == nil {
		err = k.unchanged(ctx, before)
	}
	if err != nil {
		return explain(err, what, "")
	}
	for _, compressed := range []bool{false, true} {
		var content []byte
		if content, err = app.CertificateObject(leaf, compressed); err == nil {
			err = k.write(ctx, content)
		}
		if !full(err) {
			break
		}
	}
	return explain(err, what, "")
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
	if k.slot == app.Attestation {
		return problem.New(problem.NotSupported, "cardctl does not delete the certificate of the attestation key").
			Because("The maker put it on the card, and no reset restores it.")
	}
	if err := k.manage(ctx); err != nil {
		return explain(err, what, "")
	}
	return explain(k.deleteCertificate(ctx), what, "")
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
