//go:build stack

package judges

import (
	"crypto/sha1"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// A program finds each key, and no other one, by the names that info prints: GnuTLS and
// OpenSSL's engine by the URI, OpenVPN by the serialised ID, strongSwan by the handle.
func TestNamesOfKeysAreThoseOfPrograms(t *testing.T) {
	for what, test := range map[string]struct {
		fill func(t *testing.T) *stack.Desk
		pin  string
		look []string
		// keys and certs are how many the module shows, hidden what it does not.
		keys, certs int
		hidden      []string
	}{
		"OpenPGP": {openPGPWithKeys, stack.UserPIN, nil, 3, 2, nil},
		"PIV": {func(t *testing.T) *stack.Desk {
			d := pivCard(t, "piv-yubikey-5")
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			issue(t, d, "PIV.9A", "p256")
			issue(t, d, "PIV.9D", "rsa2048")
			issue(t, d, "PIV.82", "p384")
			return d
		}, pivPIN, nil, 3, 3, []string{"PIV.F9"}},
		"IsoApplet": {func(t *testing.T) *stack.Desk {
			d := stack.NewDesk(t)
			d.Card("iso", 0, "--applications", "pkcs15")
			d.Setenv("CARDCTL_PUK", "7391582473915824")
			d.Run("cardctl", "init", "--app", "pkcs15", "--yes", "--label", "Snake Oil; 'web' #1")
			issue(t, d, "PKCS15.45", "rsa2048")
			d.Run("cardctl", "gen-key", "--key", "PKCS15.46", "--algorithm", "p256", "--label", "ü%3B;&\"")
			return d
		}, stack.UserPIN, nil, 2, 1, nil},
		"MyEID": {func(t *testing.T) *stack.Desk {
			d := stack.NewDesk(t)
			d.Card("myeid", 0, "--applications", "myeid")
			d.Setenv("CARDCTL_PUK", "12345678")
			d.Setenv("CARDCTL_SO_PIN", "87654321")
			d.Run("cardctl", "init", "--app", "pkcs15", "--yes", "--label", "desk")
			issue(t, d, "PKCS15.45", "p256")
			issue(t, d, "PKCS15.46", "rsa2048")
			return d
		}, stack.UserPIN, nil, 2, 2, nil},
		"SoftHSM": {func(t *testing.T) *stack.Desk {
			d := tokenDesk(t)
			d.Run("cardctl", "init", "--app", "pkcs11", "--token", "desk", "--label", "50% 'a' & \"b\"; ü", "--yes")
			const token = "pkcs11:token=50%25%20%27a%27%20%26%20%22b%22%3B%20%C3%BC;"
			issueOnToken(t, d, token+"object=one", "--algorithm", "p256")
			issueOnToken(t, d, token+"id=%45;object=%3B%26%27", "--algorithm", "rsa2048")
			d.Run("cardctl", "gen-key", "--key", token+"id=%46")
			return d
		}, "canary-736451", []string{"--app", "pkcs11"}, 3, 2, nil},
	} {
		t.Run(what, func(t *testing.T) {
			d := test.fill(t)
			info := d.Info(test.look...)
			if len(info.Keys) != test.keys+len(test.hidden) {
				t.Fatalf("%+v", info)
			}
			module := info.Keys[0].Module
			listed := serializedIDs(d.Run("openvpn", "--show-pkcs11-ids", module))
			var shown []string
			for _, k := range info.Keys {
				if slices.Contains(test.hidden, k.Ref) {
					if k.URI != "" || k.Unnamed == "" {
						t.Errorf("the module does not show %+v", k)
					}
					continue
				}
				if k.URI == "" || k.Handle == "" || k.ObjectLabel == nil || (k.CertificateLabel == nil) != (k.SerializedID == "") {
					t.Errorf("%+v", k)
					continue
				}
				if k.SerializedID != "" {
					shown = append(shown, k.SerializedID)
				}
				findsByURI(t, d, module, test.pin, k.URI, k.PublicKey)
				findsByHandle(t, d, module, test.pin, k.Handle, k.PublicKey, k.SerializedID != "")
			}
			slices.Sort(shown)
			if !slices.Equal(shown, listed) || len(shown) != test.certs {
				t.Errorf("info has %q, OpenVPN %q", shown, listed)
			}
		})
	}
}

// Of a card with two applications OpenSC shows one. The keys of the other have no names.
func TestNamesOnACardWithTwoApplications(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("both", 0, "--applications", "openpgp,piv")
	d.Run("cardctl", "init", "--app", "openpgp", "--yes")
	issue(t, d, "OPENPGP.3", "p256")
	d.Setenv("CARDCTL_PIN", pivPIN)
	d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
	issue(t, d, "PIV.9A", "p256")
	info := d.Info()
	listed := serializedIDs(d.Run("openvpn", "--show-pkcs11-ids", info.Keys[0].Module))
	var shown []string
	for _, k := range info.Keys {
		if (k.URI == "") == (k.Unnamed == "") {
			t.Errorf("%+v", k)
		}
		if k.SerializedID != "" {
			shown = append(shown, k.SerializedID)
		}
	}
	if len(info.Keys) < 2 || len(listed) != 1 || !slices.Equal(shown, listed) {
		t.Errorf("info has %q, OpenVPN %q: %+v", shown, listed, info.Keys)
	}
}

// A key that a module shows to nobody before the login is on the token of its PIN.
func TestNamesOfKeysThatAreHidden(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("hidden", 0, "--applications", "myeid")
	d.Setenv("PUK", "12345678")
	d.Setenv("SO_PIN", "87654321")
	write := func(args ...string) {
		d.Run("pkcs15-init", append(args, "--pin", "env:CARDCTL_PIN", "--so-pin", "env:SO_PIN")...)
	}
	write("--create-pkcs15", "--so-puk", "env:PUK", "--puk", "env:PUK", "--label", "a: b")
	for _, pin := range []string{"01", "02"} {
		write("--store-pin", "--auth-id", pin, "--puk", "env:PUK", "--label", "PIN "+pin)
		write("--generate-key", "ec:prime256v1", "--auth-id", pin, "--id", "4"+pin[1:], "--label", "key")
		write("--delete-objects", "pubkey", "--auth-id", pin, "--id", "4"+pin[1:])
	}
	info := d.Info()
	d.Setenv("GNUTLS_PIN", stack.UserPIN)
	for i, k := range info.Keys {
		listed := d.Run("p11tool", "--provider", k.Module, "--login", "--list-all", k.URI)
		if strings.Count(listed, "URL:") != 1 || !strings.Contains(listed, fmt.Sprintf("PIN%%200%d%%29;id=%%4%d;", i+1, i+1)) || k.ObjectLabel != nil {
			t.Errorf("%+v\n%s", k, listed)
		}
	}
	if len(info.Keys) != 2 {
		t.Errorf("%+v", info)
	}
}

// Two cards that a URI cannot tell apart have none.
func TestTwinsHaveNoURI(t *testing.T) {
	d := stack.NewDesk(t)
	for reader, name := range []string{"one", "two"} {
		d.Card(name, reader, "--serial", "00C0FFEE").Initialise()
		issue(t, d, "OPENPGP.3", "p256")
	}
	for reader := range 2 {
		d.Setenv("CARDCTL_READER", stack.ReaderName(reader))
		if k := d.Info().Keys[0]; k.Module == "" || k.URI != "" || k.SerializedID != "" || k.Unnamed == "" || k.Handle != "03" {
			t.Errorf("%+v", k)
		}
	}
}

// A module that hangs takes its share of the time, and hides nothing else.
func TestInfoGoesOnWithoutAModule(t *testing.T) {
	d := openPGPWithKeys(t)
	d.Write("hangs.c", hangs, 0o600)
	d.Run("gcc", "-shared", "-fPIC", "-o", "hangs.so", "hangs.c")
	for _, module := range []string{d.Path("hangs.so"), "/nowhere/module.so"} {
		started := time.Now()
		shown := d.Run("cardctl", "info", "--reader", stack.ReaderName(0), "--module", module, "--timeout", "2s")
		if !strings.Contains(shown, "Key OPENPGP.3") || !strings.Contains(shown, "names for programs") || strings.Contains(shown, "no URI") {
			t.Errorf("%s:\n%s", module, shown)
		}
		if took := time.Since(started); took > 1800*time.Millisecond {
			t.Errorf("%s: %v", module, took)
		}
	}
}

// openPGPWithKeys is a card with three keys, one of which has no certificate.
func openPGPWithKeys(t *testing.T) *stack.Desk {
	d := stack.NewDesk(t)
	d.Card("names", 0).Initialise()
	issue(t, d, "OPENPGP.1", "p256")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.2", "--algorithm", "rsa2048")
	issue(t, d, "OPENPGP.3", "rsa2048")
	return d
}

// serializedIDs are what OpenVPN lists, in order.
func serializedIDs(listed string) []string {
	var ids []string
	for line := range strings.Lines(listed) {
		if _, id, is := strings.Cut(line, "Serialized id:"); is {
			ids = append(ids, strings.TrimSpace(id))
		}
	}
	slices.Sort(ids)
	return ids
}

// findsByURI has GnuTLS list what a URI names, and OpenSSL read its public key.
func findsByURI(t *testing.T, d *stack.Desk, module, pin, uri, public string) {
	t.Helper()
	d.Setenv("GNUTLS_PIN", pin)
	if listed := d.Run("p11tool", "--provider", module, "--login", "--list-all", uri); strings.Count(listed, "URL:") != 1 || strings.Count(listed, "type=private") != 1 {
		t.Errorf("p11tool lists for %s\n%s", uri, listed)
	}
	d.Setenv("PKCS11_MODULE_PATH", module)
	d.Setenv("ENGINE_PIN", pin)
	if got := d.Run("openssl", "pkey", "-engine", "pkcs11", "-inform", "engine", "-passin", "env:ENGINE_PIN", "-in", uri, "-pubout"); got != public {
		t.Errorf("OpenSSL has by %s\n%s", uri, got)
	}
}

// findsByHandle has strongSwan read a private key, and its certificate.
func findsByHandle(t *testing.T, d *stack.Desk, module, pin, handle, public string, certified bool) {
	t.Helper()
	if strings.Contains(module, "softhsm") { // strongSwan 5.9.8 crashes at its empty slot
		return
	}
	if got := pki(d, module, pin, "--pub", "--type", "priv", "--outform", "pem", "--keyid", handle); got != public {
		t.Errorf("strongSwan has by %s\n%s", handle, got)
	}
	if !certified {
		return
	}
	block, _ := pem.Decode([]byte(public))
	id := strings.ReplaceAll(strings.TrimSpace(fmt.Sprintf("% x", sha1.Sum(block.Bytes))), " ", ":")
	if shown := pki(d, module, pin, "--print", "--type", "x509", "--keyid", handle); !strings.Contains(shown, id) {
		t.Errorf("the certificate for %s is not strongSwan's for %s\n%s", id, handle, shown)
	}
}

// pki runs strongSwan's program for keys, with a module.
func pki(d *stack.Desk, module, pin string, args ...string) string {
	d.Setenv("STRONGSWAN_CONF", d.Write("strongswan.conf", `pki {
	load = random nonce x509 pubkey pkcs1 pkcs8 pem openssl pkcs11
	plugins {
		pkcs11 { modules { tested { path = `+module+` } } }
		openssl { engine_id = none }
	}
}`, 0o600))
	return strings.ReplaceAll(d.RunInput(pin+"\n", "pki", args...), "Smartcard PIN: ", "")
}
