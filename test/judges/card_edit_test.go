//go:build stack

package judges

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// edited are the profiles of cards for what gpg --card-edit writes.
var edited = []string{"openpgp-3.4", "openpgp-2.0", "openpgp-yubikey-5"}

// cardholder is what info shows of the owner of the card.
func cardholder(t *testing.T, d *stack.Desk) map[string]string {
	t.Helper()
	var info struct{ Cardholder map[string]string }
	if err := json.Unmarshal([]byte(d.Run("cardctl", "info", "-o", "json")), &info); err != nil {
		t.Fatal(err)
	}
	return info.Cardholder
}

// userInfo is what openpgp-tool shows of the owner of the card.
func userInfo(d *stack.Desk) map[string]string {
	shown := map[string]string{}
	for line := range strings.Lines(d.Run("openpgp-tool", "--user-info")) {
		label, value, _ := strings.Cut(line, ":")
		shown[label] = strings.TrimSpace(value)
	}
	return shown
}

// edit types commands to gpg --card-edit.
func edit(d *stack.Desk, lines ...string) string {
	typed := strings.Join(append(append([]string{"admin"}, lines...), "quit", ""), "\n")
	return d.RunInput(typed, "gpg", "--command-fd", "0", "--no-tty", "--card-edit")
}

// TestCardholder: GnuPG and openpgp-tool show what cardctl wrote, and cardctl what gpg
// --card-edit wrote.
func TestCardholder(t *testing.T) {
	for _, profile := range edited {
		t.Run(profile, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("held", 0, "--profile", profile).Initialise()
			d.Run("cardctl", "set-holder", "--name", "Floppy Maria van-Head", "--login", "floppy", "--url", "https://example.com/a%20b:c", "--language", "de,en", "--sex", "female")
			g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
			shown := g.CardStatus()
			for kind, want := range map[string]string{
				"name": "Floppy Maria:van-Head", "login": "floppy", "url": `https\x3a//example.com/a%20b\x3ac`, "lang": "deen", "sex": "f",
			} {
				if got := strings.Join(shown[kind], ":"); got != want {
					t.Errorf("GnuPG shows the %s %q, not %q", kind, got, want)
				}
			}
			g.Release()
			shownBy := userInfo(d)
			if got := strings.Fields(shownBy["Name"]); len(got) != 3 || !slices.Contains(got, "Floppy") || !slices.Contains(got, "van-Head") {
				t.Errorf("openpgp-tool shows the name %q", got) // in the order of its version
			}
			for label, want := range map[string]string{"Account": "floppy", "URL": "https://example.com/a%20b:c", "Language": "de,en", "Gender": "female"} {
				if got := strings.ReplaceAll(shownBy[label], " ", ""); got != want {
					t.Errorf("openpgp-tool shows the %s %q, not %q", label, got, want)
				}
			}

			edit(d, "name", "Mueller Huber", "Joerg", "login", "mueller", "url", "https://example.org/x", "lang", "fr", "sex", "M")
			g.Release()
			want := map[string]string{"name": "Joerg Mueller Huber", "login": "mueller", "url": "https://example.org/x", "language": "fr", "sex": "male"}
			if got := cardholder(t, d); !maps.Equal(got, want) {
				t.Errorf("info shows %v", got)
			}

			// What one of them removes, the other does not show.
			d.Run("cardctl", "set-holder", "--name", "", "--login", "", "--url", "", "--language", "", "--sex", "unspecified")
			shown = g.CardStatus()
			for _, kind := range []string{"name", "login", "url", "lang"} {
				if got := strings.Trim(strings.Join(shown[kind], ""), ":"); got != "" {
					t.Errorf("GnuPG shows the %s %q", kind, got)
				}
			}
			g.Release()
			stack.Judged(t, "GnuPG", profile, "cardholder, both ways")
			stack.Judged(t, "openpgp-tool", profile, "cardholder")
		})
	}
}

// The letters of a name that are not ASCII are in ISO 8859-1 (OpenPGP card 3.4.1, 4.4.1):
// scdaemon gets these bytes, and what it writes is read.
func TestLettersOfANameAreLatin1(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("letters", 0).Initialise()
	d.Run("cardctl", "set-holder", "--name", "van der Höf<<Zoë")
	g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
	_, status := g.SCD("GETATTR DISP-NAME")
	if len(status) != 1 || string(stack.Unescape(status[0])) != "DISP-NAME van<der<H\xF6f<<Zo\xEB" {
		t.Errorf("scdaemon reads %q", status)
	}
	g.SCD("SETATTR DISP-NAME M%FCller<<J%F6rg")
	g.Release()
	if got := cardholder(t, d)["name"]; got != "Jörg Müller" {
		t.Errorf("info shows %q", got)
	}
	stack.Judged(t, "GnuPG", "openpgp-3.4", "names with letters that are not ASCII")
}

// TestTouchPolicies: ykman shows the user interaction flags that cardctl wrote, and cardctl
// those of ykman; GnuPG too, if it is one that shows them (not 2.2).
func TestTouchPolicies(t *testing.T) {
	for _, profile := range []string{"openpgp-yubikey-5", "openpgp-yubikey-5.7"} {
		t.Run(profile, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("touch", 0, "--profile", profile).Initialise()
			for _, slot := range []string{"1", "2", "3"} {
				d.Run("cardctl", "gen-key", "--key", "OPENPGP."+slot)
			}
			d.Run("cardctl", "set-touch", "--key", "OPENPGP.1", "on")
			d.Run("cardctl", "set-touch", "--key", "OPENPGP.2", "permanent", "--yes")
			d.Run("cardctl", "set-touch", "--key", "OPENPGP.3", "cached")
			for slot, want := range map[string]string{"sig": "On", "dec": "On (fixed)", "aut": "Cached"} {
				shown := ykmanOpenPGP(d, "keys", "info", slot)
				if !regexp.MustCompile(`(?m)^Touch policy: +`+regexp.QuoteMeta(want)+`$`).MatchString(shown) || !regexp.MustCompile(`(?m)^Origin: +GENERATED$`).MatchString(shown) {
					t.Errorf("ykman shows of %s\n%s", slot, shown)
				}
			}
			g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
			shown := g.CardStatus()["uif"] // whether a touch is needed
			if shown != nil && !slices.Equal(shown, []string{"1", "1", "1"}) {
				t.Errorf("GnuPG shows %q", shown)
			}
			g.Release()

			ykmanOpenPGP(d, "keys", "set-touch", "-a", stack.AdminPIN, "-f", "sig", "off")
			ykmanOpenPGP(d, "keys", "set-touch", "-a", stack.AdminPIN, "-f", "aut", "cached-fixed")
			if got := touchPolicies(t, d); !slices.Equal(got, []string{"off", "permanent", "permanent-cached"}) {
				t.Errorf("info shows %q", got)
			}
			stack.Judged(t, "ykman", profile, "touch policies and origin of OpenPGP keys, both ways")
			if shown == nil {
				return
			}
			if again := g.CardStatus()["uif"]; !slices.Equal(again, []string{"0", "1", "1"}) {
				t.Errorf("GnuPG shows %q", again)
			}
			edit(d, "uif 1 on")
			g.Release()
			if got := touchPolicies(t, d)[0]; got != "on" {
				t.Errorf("info shows %q", got)
			}
			stack.Judged(t, "GnuPG", profile, "touch policies, both ways")
		})
	}
}

func touchPolicies(t *testing.T, d *stack.Desk) (policies []string) {
	t.Helper()
	var info struct {
		Keys []struct{ TouchPolicy string }
	}
	if err := json.Unmarshal([]byte(d.Run("cardctl", "info", "-o", "json")), &info); err != nil {
		t.Fatal(err)
	}
	for _, k := range info.Keys {
		policies = append(policies, k.TouchPolicy)
	}
	return policies
}

// ykmanOpenPGP runs yubikey-manager on the OpenPGP application of the card.
func ykmanOpenPGP(d *stack.Desk, args ...string) string {
	return d.Run("ykman", append([]string{"--reader", stack.ReaderName(0), "openpgp"}, args...)...)
}

// TestOpenPGPAttestation: the statement that cardctl shows is one that ykman has the card
// make too, and OpenSSL verifies its chain. It takes the place of ykman's.
func TestOpenPGPAttestation(t *testing.T) {
	for _, profile := range []string{"openpgp-yubikey-5", "openpgp-yubikey-5.7"} {
		for reference, slot := range map[string]string{"OPENPGP.1": "sig", "OPENPGP.2": "dec", "OPENPGP.3": "aut"} {
			t.Run(profile+" "+slot, func(t *testing.T) {
				d := stack.NewDesk(t)
				d.Card("stated", 0, "--profile", profile, "--attestation-ca", d.Path("maker.pem")).Initialise()
				d.Run("cardctl", "gen-key", "--key", reference)
				d.Run("cardctl", "attest", "--key", reference, "--ca", d.Path("maker.pem"), "--out", d.Path("statement.pem"))
				d.Run("openssl", "verify", "-CAfile", d.Path("maker.pem"), "-untrusted", d.Path("statement.pem"), d.Path("statement.pem"))
				ours := stack.ParseCertificate(t, d.Read("statement.pem"))
				if stored := d.Try("cardctl", "export-cert", "--key", reference); stored.Exit == 0 {
					t.Errorf("the statement was not taken back: %s", stored)
				}

				theirs := stack.ParseCertificate(t, []byte(ykmanOpenPGP(d, "keys", "attest", "-P", stack.UserPIN, slot, "-")))
				if !bytes.Equal(ours.RawSubjectPublicKeyInfo, theirs.RawSubjectPublicKeyInfo) || ours.Subject.String() != theirs.Subject.String() || len(ours.Extensions) != len(theirs.Extensions) {
					t.Errorf("cardctl has a statement about %s, ykman about %s", ours.Subject, theirs.Subject)
				}
				if got := stack.ParseCertificate(t, []byte(d.Run("cardctl", "export-cert", "--key", reference))); !got.Equal(theirs) {
					t.Errorf("the card has %s", got.Subject)
				}
				d.Run("cardctl", "attest", "--key", reference) // without a question
				stack.Judged(t, "ykman", profile, "attestation of "+reference)
			})
		}
	}
}

// TestAKDFThatCardctlSetUp: GnuPG sends the PINs as cardctl set the card up, changes them,
// and erasing the card undoes it.
func TestAKDFThatCardctlSetUp(t *testing.T) {
	for _, profile := range []string{"openpgp-3.4", "openpgp-yubikey-5"} {
		t.Run(profile, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("derived", 0, "--profile", profile)
			d.Run("cardctl", "init", "--yes", "--kdf")
			g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
			if on := g.CardStatus()["kdf"]; len(on) == 0 || on[0] == "off" {
				t.Errorf("GnuPG shows the KDF %q", on)
			}
			g.SCD("CHECKPIN " + idOf(g))
			g.SCD("CHECKPIN " + idOf(g) + "[CHV3]")
			_, made := g.SCD("GENKEY --timestamp=20240229T123456 3")
			g.Release()
			if shown := d.Info().Keys; len(shown) != 1 || !strings.Contains(strings.ToUpper(strings.Join(made, "\n")), "KEY-FPR "+shown[0].Fingerprint) {
				t.Errorf("info shows the keys %+v, GnuPG made %q", shown, made)
			}
			d.Run("cardctl", "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=derived", "--out", "request")
			d.Run("openssl", "req", "-in", "request", "-noout", "-verify")
			if listing := d.Run("openpgp-tool", "-C", "-K"); !strings.Contains(plain(listing), d.Info().Keys[0].Fingerprint) {
				t.Errorf("openpgp-tool shows\n%s", listing)
			}
			if got := g.CardStatus()["pinretry"]; !slices.Equal(got, []string{"3", "0", "3"}) {
				t.Errorf("tries left: %q", got)
			}
			g.Release()

			d.Run("cardctl", "init", "--yes")
			if on := g.CardStatus()["kdf"]; len(on) > 0 && on[0] != "off" {
				t.Errorf("after a reset, GnuPG shows the KDF %q", on)
			}
			g.SCD("CHECKPIN " + idOf(g))
			g.Release()
			if strings.Contains(profile, "yubikey") {
				if shown := ykmanOpenPGP(d, "info"); !regexp.MustCompile(`(?m)^KDF enabled: +False$`).MatchString(shown) {
					t.Errorf("ykman shows\n%s", shown)
				}
				d.Run("cardctl", "init", "--yes", "--kdf", "--pin-tries", "5")
				shown := ykmanOpenPGP(d, "info")
				if !regexp.MustCompile(`(?m)^KDF enabled: +True$`).MatchString(shown) || !regexp.MustCompile(`(?m)^PIN tries remaining: +5$`).MatchString(shown) {
					t.Errorf("ykman shows\n%s", shown)
				}
				ykmanOpenPGP(d, "access", "change-pin", "-P", stack.UserPIN, "-n", "135791")
				d.Setenv("OTHER", "135791")
				d.Run("cardctl", "set-pin", "user", "--pin", "env:OTHER", "--new-pin", "env:CARDCTL_PIN")
				stack.Judged(t, "ykman", profile, "a KDF and tries that cardctl set")
			}
			stack.Judged(t, "GnuPG", profile, "a KDF that cardctl set up, and its end")
		})
	}
}

// TestPrivateDataOfGnuPG: info shows what gpg's privatedo wrote, as openpgp-tool does.
// GnuPG 2.2 cannot write the first and the third: it verifies the user PIN for a signature.
func TestPrivateDataOfGnuPG(t *testing.T) {
	for _, profile := range edited {
		t.Run(profile, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("private", 0, "--profile", profile).Initialise()
			g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
			edit(d, "privatedo 2", "a locker: 17", "privatedo 4", "of the desk")
			if got := d.Run("gpg", "--batch", "--with-colons", "--card-status"); !strings.Contains(got, "private_do:2:a locker\\x3a 17:\n") {
				t.Errorf("GnuPG shows\n%s", got)
			}
			g.Release()
			shown := d.Run("cardctl", "info", "--verbose")
			for _, want := range []string{"0101  empty\n", "0102  12 bytes: a locker: 17\n", "0103  readable with the user PIN only\n", "0104  readable with the admin PIN only\n"} {
				if !strings.Contains(shown, want) {
					t.Errorf("info does not show %q:\n%s", want, shown)
				}
			}
			if got := d.Run("openpgp-tool", "--raw", "--do", "2"); got != "a locker: 17" {
				t.Errorf("openpgp-tool shows %q", got)
			}
			stack.Judged(t, "GnuPG", profile, "private data")
			stack.Judged(t, "openpgp-tool", profile, "private data")
		})
	}
}
