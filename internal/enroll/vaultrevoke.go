package enroll

import (
	"context"
	"net/http"
	"strings"

	"github.com/cardctl/cardctl/internal/csr"
)

// Revoke revokes a certificate: POST /MOUNT/revoke. Vault notes no reason. With the whole
// certificate, it revokes also one that it did not store.
func (i *vault) Revoke(ctx context.Context, o *Order, r Revocation) error {
	_, err := r.check()
	if err == nil {
		err = r.final("Vault")
	}
	if err == nil {
		err = i.Prepare(ctx, o)
	}
	if err != nil {
		return err
	}
	defer i.server.close()
	token, err := i.login(ctx, o)
	if err != nil {
		return err
	}
	defer token.Wipe()
	if i.roleID != "" {
		defer i.logout(context.WithoutCancel(ctx), token)
	}
	body := &jsonBody{}
	if r.Certificate != nil {
		body.add("certificate", string(csr.PEMCertificate(r.Certificate)))
	} else {
		body.add("serial_number", withColons(r.SerialNumber))
	}
	var said vaultAnswer
	got, err := i.post(ctx, token, "/"+i.mount+"/revoke", body, &said)
	switch {
	case err != nil:
		return err
	case got.status != http.StatusOK:
		return notRevoked(i.server, got, strings.Join(said.Errors, "; "))
	case said.Data.RevocationTime == 0:
		return i.server.wrong("It does not say when the certificate was revoked.")
	}
	return nil
}

// withColons is a serial number as Vault writes it.
func withColons(serial string) string {
	digits := strings.ToLower(serial)
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	var pairs []string
	for ; digits != ""; digits = digits[2:] {
		pairs = append(pairs, digits[:2])
	}
	return strings.Join(pairs, ":")
}
