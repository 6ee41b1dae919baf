package pkcs15

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// decrypt is PSO: DECIPHER (ISO/IEC 7816-8, 11.11) behind the padding indicator 00. The applet
// takes the padding of PKCS#1 v1.5 off. The PIN has to be verified.
func (a *applet) decrypt(ctx context.Context, k *PrivateKey, cryptogram []byte, _ crypto.DecrypterOpts) ([]byte, error) {
	if err := a.environment(ctx, templateConfidentiality, appletPKCS1, k); err != nil {
		return nil, err
	}
	plain, err := a.ch.Send(ctx, decipher(indicatorWhole, cryptogram, max(iso7816.MaxShortNe, k.Bits/8)))
	if iso7816.StatusOf(err) == iso7816.StatusWrongData {
		return nil, fmt.Errorf("%w: %w", pubkey.ErrNotForThisKey, err)
	}
	return plain, err
}

// derive: the protocol has none.
func (a *applet) derive(context.Context, *PrivateKey, []byte) ([]byte, error) {
	return nil, appletAgrees()
}

func appletAgrees() error {
	return problem.New(problem.NotSupported, "this card cannot derive a secret").
		Because("IsoApplet has no command for key agreement.")
}

func (d isoApplet) derives(*PrivateKey) error { return appletAgrees() }

func (d isoApplet) decryptsWith(_ *PrivateKey, opts crypto.DecrypterOpts) error {
	if _, oaep := opts.(*rsa.OAEPOptions); oaep {
		return problem.New(problem.NotSupported, "this card does not support RSAES-OAEP").
			Because("IsoApplet removes only the padding of PKCS#1 v1.5.")
	}
	return nil
}
