package pkcs15

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

func (d openSC) checkAlgorithm(context.Context, string) error { return nil }

func (d openSC) checkImport(context.Context, PIN, *secret.Bytes) error { return nil }

func (d openSC) generateKey(ctx context.Context, k NewKey, pin *secret.Bytes) error {
	spec := "rsa:" + strings.TrimPrefix(k.Algorithm, "rsa")
	if curve, ok := curves[k.Algorithm]; ok {
		spec = "ec:" + curve
	}
	return d.card.driver.putKey(ctx, "generating the key", k, pin, call{args: append([]string{"--generate-key", spec}, k.arguments()...)})
}

func (d openSC) putKey(ctx context.Context, what string, k NewKey, pin *secret.Bytes, job call) error {
	return d.card.write(ctx, what, k.PIN, pin, job)
}

func (d openSC) begun(context.Context, []byte) (bool, error) { return false, nil }

// storeCertificate has one that is replaced removed first: --update-certificate is
// known to fail where the length is another one.
func (d openSC) storeCertificate(ctx context.Context, n NewCertificate, pin *secret.Bytes) error {
	if n.Replace {
		if err := d.card.DeleteObjects(ctx, KindCertificate, n.ID, n.PIN, pin); err != nil {
			return err
		}
	}
	args := []string{"--store-certificate", runner.FilePlace, "--id", hex.EncodeToString(n.ID), "--auth-id", n.PIN.ID}
	if n.Label != "" {
		args = append(args, "--label", n.Label)
	}
	if n.Authority {
		args = append(args, "--authority")
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.DER})
	return d.card.write(ctx, "writing the certificate", n.PIN, pin, call{args: args, file: file})
}

func (d openSC) deleteCertificate(ctx context.Context, id []byte, p PIN, pin *secret.Bytes, _ time.Time) error {
	return d.card.DeleteObjects(ctx, KindCertificate, id, p, pin)
}
