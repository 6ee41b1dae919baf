//go:build stack

package judges

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// ykman runs yubikey-manager on the card.
func ykman(d *stack.Desk, args ...string) string { return d.Run("ykman", ofYkman(args...)...) }

func ofYkman(args ...string) []string {
	return append([]string{"--reader", stack.ReaderName(0), "piv"}, args...)
}

// ykmanKey is a key that ykman and cardctl know by these names.
type ykmanKey struct{ profile, slot, algorithm, name string }

// ykmanKeys has each algorithm that a profile can have.
func ykmanKeys() []ykmanKey {
	return []ykmanKey{
		{"piv-yubikey-4", "9A", "p256", "ECCP256"}, {"piv-yubikey-5", "9C", "rsa2048", "RSA2048"}, {"piv-yubikey-5", "9D", "p384", "ECCP384"},
		{"piv-yubikey-5.7", "9E", "ed25519", "ED25519"}, {"piv-yubikey-5.7", "9A", "rsa3072", "RSA3072"}, {"piv-yubikey-5.7", "82", "rsa4096", "RSA4096"},
		{"piv-yubikey-5.7", "9D", "x25519", "X25519"},
	}
}

func (k ykmanKey) ref() string { return "PIV." + k.slot }

func (k ykmanKey) signs() bool { return k.algorithm != "x25519" }

// judged is what the tests do with it.
func (k ykmanKey) judged() string {
	if k.signs() {
		return "read, used, replaced"
	}
	return "read, replaced"
}

// What ykman generates, cardctl reads, uses and replaces.
func TestPIVKeysOfYkman(t *testing.T) {
	for _, k := range ykmanKeys() {
		t.Run(k.profile+" "+k.algorithm, func(t *testing.T) {
			d := pivCard(t, k.profile)
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			public := ykman(d, "keys", "generate", "-m", pivManagementKey, "-a", k.name, k.slot, "-")
			d.Write("public.pem", public, 0o600)
			d.Authority().Certify("public.pem", "/CN=Floppy Head", "certificate.pem")
			ykman(d, "certificates", "import", "-m", pivManagementKey, "--compress", k.slot, d.Path("certificate.pem"))

			info := d.Info()
			if info.Keys[0].Ref != k.ref() || info.Keys[0].Algorithm != k.algorithm || info.Certificates[0].Ref != k.ref() || !info.Certificates[0].MatchesKey {
				t.Errorf("info shows %+v %+v", info.Keys, info.Certificates)
			}
			if got := d.Run("cardctl", "export-key", "--key", k.ref()); got != public {
				t.Errorf("export-key: %s", got)
			}
			want := stack.ParseCertificate(t, d.Read("certificate.pem"))
			if got := stack.ParseCertificate(t, []byte(d.Run("cardctl", "export-cert", "--key", k.ref()))); !got.Equal(want) {
				t.Errorf("another certificate: %v", got.Subject)
			}
			if k.signs() {
				if got := d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", k.ref(), "--subject", name)); got.PublicKey != public {
					t.Errorf("a request for another key: %s", got.PublicKey)
				}
			}
			d.Run("cardctl", "gen-key", "--key", k.ref(), "--replace", info.Keys[0].Fingerprint, "--yes")
			if d.Run("cardctl", "export-key", "--key", k.ref()) == public {
				t.Error("the key is still there")
			}
			stack.Judged(t, "ykman", k.profile, "its key and compressed certificate, "+k.algorithm+": "+k.judged())
		})
	}
}

// What cardctl generates and imports, ykman reads, uses and replaces.
func TestYkmanUsesPIVKeys(t *testing.T) {
	for _, k := range ykmanKeys() {
		t.Run(k.profile+" "+k.algorithm, func(t *testing.T) {
			d := pivCard(t, k.profile)
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			d.Run("cardctl", "gen-key", "--key", k.ref(), "--algorithm", k.algorithm, "--out", d.Path("public.pem"))
			d.Authority().Certify("public.pem", "/CN=Floppy Head", "certificate.pem")
			d.Run("cardctl", "import-cert", "--key", k.ref(), "certificate.pem")

			verified := []string{"keys", "export", k.slot, "-"}
			if k.signs() {
				verified = append(verified, "--verify", "--pin", pivPIN)
			}
			if got := ykman(d, verified...); got != string(d.Read("public.pem")) {
				t.Errorf("ykman reads another key: %s", got)
			}
			want := stack.ParseCertificate(t, d.Read("certificate.pem"))
			if got := stack.ParseCertificate(t, []byte(ykman(d, "certificates", "export", k.slot, "-"))); !got.Equal(want) {
				t.Errorf("ykman reads another certificate: %v", got.Subject)
			}
			if k.signs() {
				ykman(d, "certificates", "request", "--pin", pivPIN, "--subject", "CN=Floppy Head", k.slot, "public.pem", "request")
				d.VerifyRequest(string(d.Read("request")))
				d.Authority().Sign("request")
				replace := []string{"certificates", "import", "-m", pivManagementKey, k.slot, "request.pem"}
				if k.algorithm != "ed25519" { // which ykman does not verify
					replace = append(replace, "--pin", pivPIN, "--verify")
				}
				ykman(d, replace...)
				if got := d.Run("cardctl", "export-cert", "--key", k.ref()); got != string(d.Read("request.pem")) {
					t.Errorf("export-cert: %s", got)
				}
			}
			ykman(d, "certificates", "delete", "-m", pivManagementKey, k.slot)
			if refused := d.Refused("export-cert", "--key", k.ref()); refused.Code != "not-found" {
				t.Errorf("the certificate is deleted: %+v", refused)
			}
			stack.Judged(t, "ykman", k.profile, "cardctl's key and certificate, "+k.algorithm+": "+k.judged())
		})
	}
}

// PINs and PUKs that one sets, the other changes and unblocks with.
func TestPIVPINsAndYkman(t *testing.T) {
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5", "piv-yubikey-5.7"} {
		t.Run(profile, func(t *testing.T) {
			d := pivCard(t, profile)
			set := func(variable, value string) { d.Setenv(variable, value) }
			ykman(d, "access", "change-pin", "--pin", pivPIN, "--new-pin", "246813")
			ykman(d, "access", "change-puk", "--puk", "12345678", "--new-puk", "97531864")
			set("CARDCTL_PIN", "246813")
			set("CARDCTL_PUK", "97531864")
			set("NEW", "135724")
			d.Run("cardctl", "set-pin", "user", "--new-pin", "env:NEW")
			set("NEW", "86429753")
			d.Run("cardctl", "set-pin", "puk", "--new-pin", "env:NEW", "--allow-unknown-tries")
			for range 3 {
				if r := d.Try("ykman", ofYkman("access", "change-pin", "--pin", "000000", "--new-pin", "111111")...); r.Exit == 0 {
					t.Fatal(r)
				}
			}
			if pins := d.Info().PINs; !pins[0].Blocked {
				t.Errorf("ykman blocked the PIN: %+v", pins)
			}
			ykman(d, "access", "unblock-pin", "--puk", "86429753", "--new-pin", "135724")
			set("CARDCTL_PUK", "86429753")
			set("NEW", "975310")
			d.Run("cardctl", "unblock-pin", "user", "--new-pin", "env:NEW", "--allow-unknown-tries")
			ykman(d, "access", "change-pin", "--pin", "975310", "--new-pin", pivPIN)
			if !strings.Contains(ykman(d, "info"), "PIN tries remaining:") {
				t.Error("ykman shows no tries")
			}
			ykman(d, "reset", "--force")
			if info := d.Info(); info.PINs[0].TriesLeft != 3 || info.PINs[0].Blocked {
				t.Errorf("after the reset: %+v", info.PINs)
			}
			stack.Judged(t, "ykman", profile, "PIN and PUK: set, changed and unblocked by each after the other, blocked and reset by ykman")
		})
	}
}

// Management keys of every kind that ykman sets.
func TestPIVManagementKeysOfYkman(t *testing.T) {
	const key = "A1B2C3D4E5F607182938475665748392ABCDEF01234567899876543210FEDCBA"
	for _, test := range []struct {
		profile, algorithm, key string
	}{
		{"piv-yubikey-4", "tdes", key[:48]}, {"piv-yubikey-5", "aes128", key[:32]},
		{"piv-yubikey-5", "aes256", key}, {"piv-yubikey-5.7", "tdes", key[:48]},
		{"piv-yubikey-5.7", "aes192", key[:48]},
	} {
		t.Run(test.profile+" "+test.algorithm, func(t *testing.T) {
			d := pivCard(t, test.profile)
			args := []string{"access", "change-management-key", "--management-key", pivManagementKey, "--new-management-key", test.key, "--force"}
			if test.profile != "piv-yubikey-4" {
				args = append(args, "--algorithm", test.algorithm)
			}
			ykman(d, args...)
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			if refused := d.Refused("gen-key", "--key", "PIV.9A"); refused.Exit != 4 && refused.Exit != 2 {
				t.Errorf("the management key of the factory: %+v", refused)
			}
			d.Setenv("CARDCTL_MANAGEMENT_KEY", test.key)
			d.Run("cardctl", "gen-key", "--key", "PIV.9A")
			stack.Judged(t, "ykman", test.profile, "its management key, "+test.algorithm+": used")
		})
	}
}
