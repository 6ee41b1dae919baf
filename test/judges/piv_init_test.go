//go:build stack

package judges

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// What init and set-management-key set, yubico-piv-tool uses and changes, and cardctl uses
// what it changed.
func TestPIVInitialised(t *testing.T) {
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5"} {
		t.Run(profile, func(t *testing.T) {
			d := pivCard(t, profile)
			d.Setenv("CARDCTL_PIN", "648219")
			d.Setenv("CARDCTL_PUK", "73915824")
			d.Run("cardctl", "init", "--app", "piv", "--yes", "--generate-management-key", d.Path("management.key"), "--pin-tries", "5")
			key := strings.TrimSpace(string(d.Read("management.key")))
			status := yubicoTool(d, "-a", "status")
			if !strings.Contains(status, "PIN tries left:\t5") || !strings.Contains(status, "CHUID:\t3019") || !strings.Contains(status, "CCC:\tf015") {
				t.Errorf("status: %s", status)
			}
			yubicoTool(d, "-a", "verify-pin", "-P", "648219")
			yubicoTool(d, "-a", "change-puk", "-P", "73915824", "-N", "24681357")
			d.Setenv("CARDCTL_PUK", "24681357")
			const other = "5A17C0DE904C1B7782D3E6F0A1B2C3D4E5F60718293A4B5C"
			yubicoTool(d, "-k"+key, "-a", "set-mgm-key", "-n", other)
			d.Write("other.key", other, 0o600)
			d.Run("cardctl", "gen-key", "--key", "PIV.9A", "--management-key", "file:"+d.Path("other.key"))
			d.Run("cardctl", "set-management-key", "--management-key", "file:"+d.Path("other.key"), "--new-management-key", "default")
			yubicoTool(d, "-k"+strings.ToUpper(pivManagementKey), "-a", "set-chuid")

			// A reset by the other program, and what it leaves, is a card to begin with.
			for range 6 {
				d.Try("yubico-piv-tool", "--reader", stack.ReaderName(0), "-a", "verify-pin", "-P", "000000")
				d.Try("yubico-piv-tool", "--reader", stack.ReaderName(0), "-a", "change-puk", "-P", "00000000", "-N", "00000001")
			}
			yubicoTool(d, "-a", "reset")
			d.Run("cardctl", "init", "--app", "piv", "--yes", "--protect-management-key")
			d.Run("cardctl", "gen-key", "--key", "PIV.9A", "--management-key", "protected")
		})
	}
}

// A management key that one program had the card keep opens it for the other.
func TestPIVProtectedKey(t *testing.T) {
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5", "piv-yubikey-5.7"} {
		t.Run(profile, func(t *testing.T) {
			d := pivCard(t, profile)
			d.Run("cardctl", "set-management-key", "--management-key", "default", "--protect-management-key")
			ykman(d, "keys", "generate", "-P", pivPIN, "-a", "ECCP256", "9a", "-")
			ykman(d, "access", "change-management-key", "-P", pivPIN, "--protect", "--generate", "--force")
			d.Run("cardctl", "gen-key", "--key", "PIV.9D", "--management-key", "protected")
			d.Run("cardctl", "set-management-key", "--management-key", "protected", "--new-management-key", "default")
			ykman(d, "access", "change-management-key", "-m", strings.ToUpper(pivManagementKey), "-P", pivPIN, "--protect", "--force")
			d.Run("cardctl", "set-management-key", "--management-key", "protected", "--protect-management-key")
			if info := ykman(d, "info"); !strings.Contains(info, "stored on the YubiKey, protected by PIN") {
				t.Errorf("ykman shows %s", info)
			}
			stack.Judged(t, "ykman", profile, "protected management keys, both ways")
		})
	}
}
