package setup

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestKeysForSSH(t *testing.T) {
	for _, c := range []struct {
		version string
		key     crypto.PublicKey
		refused bool
	}{
		{"OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026\n", ed25519.PublicKey{}, true},
		{"OpenSSH_9.2p1", &ecdsa.PublicKey{}, false},
		{"OpenSSH_10.0p2", ed25519.PublicKey{}, true},
		{"OpenSSH_10.1p1", ed25519.PublicKey{}, false},
		{"OpenSSH_11.0p1", ed25519.PublicKey{}, false},
		{"another", ed25519.PublicKey{}, false},
	} {
		if err := usableBy(c.version, c.key, "OPENPGP.3"); problem.Is(err, problem.NotSupported) != c.refused {
			t.Errorf("%s, %T: %v", c.version, c.key, err)
		}
	}
}
