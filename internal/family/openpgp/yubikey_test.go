package openpgp

import (
	"testing"

	"github.com/cardctl/cardctl/internal/key"
)

// A YubiKey that wants another form of SELECT DATA stores certificates like any card.
func TestCertificatesOnYubiKeys(t *testing.T) {
	for profile, most := range map[string]int{"openpgp-yubikey-5": 3, "openpgp-yubikey-5.7": 2} {
		d := newTable(t, profile)
		for _, reference := range []string{"OPENPGP.1", "OPENPGP.2", "OPENPGP.3"} {
			d.open(reference, func(k key.Key) {
				if err := k.PutCertificate(t.Context(), []byte(reference), nil); err != nil {
					t.Errorf("%s: %v", profile, err)
				}
			})
		}
		for _, reference := range []string{"OPENPGP.1", "OPENPGP.2", "OPENPGP.3"} {
			d.open(reference, func(k key.Key) {
				before := d.card.Traffic().APDUs
				if value, err := k.Certificate(t.Context()); err != nil || string(value) != reference {
					t.Errorf("%s: %q, %v", profile, value, err)
				}
				if n := d.card.Traffic().APDUs - before; n > most {
					t.Errorf("%s %s: %d APDUs, %d are enough", profile, reference, n, most)
				}
			})
		}
	}
}
