//go:build stack

package judges

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

func TestGnuPGSeesWhatWasMade(t *testing.T) {
	tests := map[string][3]string{ // signature, decryption, authentication
		"rsa":        {"rsa2048", "rsa2048", "rsa3072"},
		"nist":       {"p256", "p384", "p521"},
		"curve25519": {"ed25519", "x25519", "ed25519"},
	}
	for name, algorithms := range tests {
		t.Run(name, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card(name, 0).Initialise()
			for i, algorithm := range algorithms {
				d.Run("cardctl", "gen-key", "--key", "OPENPGP."+strconv.Itoa(i+1), "--algorithm", algorithm)
			}
			info := d.Info()
			status := d.GnuPG(0, stack.UserPIN, stack.AdminPIN).CardStatus()

			if len(info.Keys) != len(algorithms) {
				t.Fatalf("info shows %d keys", len(info.Keys))
			}
			for i, key := range info.Keys {
				if got := status["fpr"][i]; got != key.Fingerprint {
					t.Errorf("%s: GnuPG has the fingerprint %s, info %s", key.Ref, got, key.Fingerprint)
				}
				if got := status["grp"][i]; got != key.Keygrip {
					t.Errorf("%s: GnuPG has the keygrip %s, info %s", key.Ref, got, key.Keygrip)
				}
				if got := status["fprtime"][i]; got != strconv.FormatInt(key.Created.Unix(), 10) {
					t.Errorf("%s: GnuPG has the time %s, info %s", key.Ref, got, key.Created)
				}
				if age := time.Since(key.Created); age < -time.Minute || age > 5*time.Minute {
					t.Errorf("%s: made at %s", key.Ref, key.Created)
				}
			}
		})
	}
}

func TestGnuPGSeesWhatWasImported(t *testing.T) {
	tests := map[string][]string{ // arguments of openssl genpkey
		"rsa":     {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		"p256":    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
		"ed25519": {"-algorithm", "ED25519"},
	}
	for name, arguments := range tests {
		t.Run(name, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card(name, 0).Initialise()
			d.Run("openssl", append([]string{"genpkey", "-out", "key.pem"}, arguments...)...)
			d.Run("cardctl", "import-key", "--key", "OPENPGP.3", "key.pem")

			public := d.Run("openssl", "pkey", "-in", "key.pem", "-pubout")
			if got := d.Run("cardctl", "export-key", "--key", "OPENPGP.3"); got != public {
				t.Errorf("the card has another key:\n%s%s", got, public)
			}
			if got := d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=x")); got.PublicKey != public {
				t.Errorf("the request is for another key:\n%s", got.PublicKey)
			}
			key := d.Info().Keys[0]
			status := d.GnuPG(0, stack.UserPIN, stack.AdminPIN).CardStatus()
			if status["fpr"][2] != key.Fingerprint || status["grp"][2] != key.Keygrip {
				t.Errorf("GnuPG has %s %s, info %s %s", status["fpr"][2], status["grp"][2], key.Fingerprint, key.Keygrip)
			}
		})
	}
}

func TestOldCardGoesTheWholeWay(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("old", 0, "--profile", "openpgp-2.0").Initialise()
	der := issue(t, d, "OPENPGP.3", "rsa2048")
	d.Run("cardctl", "smoke-test", "--key", "OPENPGP.3", "--module", "opensc")
	if refused := d.Refused("smoke-test", "--key", "OPENPGP.3", "--module", "opensc", "--tls"); refused.Exit != 7 {
		t.Errorf("RSA in TLS on a card without PSS: %+v", refused)
	}
	if refused := d.Refused("gen-key", "--key", "OPENPGP.1", "--algorithm", "p256"); refused.Exit != 7 {
		t.Errorf("an elliptic curve key: %+v", refused)
	}
	key := d.Info().Keys[0]

	g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
	status := g.CardStatus()
	if status["version"][0] != "0200" || status["fpr"][2] != key.Fingerprint {
		t.Errorf("GnuPG has version %s, fingerprint %s; info %s", status["version"][0], status["fpr"][2], key.Fingerprint)
	}
	if got, _ := g.SCD("READCERT OPENPGP.3"); !bytes.Equal(got, der) {
		t.Errorf("READCERT gave %X", got)
	}
}

func TestGnuPGTriesAreOurs(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("tries", 0).Initialise()
	if refused := d.Refused("set-pin", "user", "--pin", "env:WRONG", "--new-pin", "env:CARDCTL_PIN"); refused.Exit != 2 {
		t.Errorf("a PIN that is not there: %+v", refused)
	}
	d.Setenv("WRONG", "000000")
	if refused := d.Refused("set-pin", "user", "--pin", "env:WRONG", "--new-pin", "env:CARDCTL_PIN"); refused.Exit != 4 {
		t.Errorf("a wrong PIN: %+v", refused)
	}
	status := d.GnuPG(0, stack.UserPIN, stack.AdminPIN).CardStatus()
	if got := strings.Join(status["pinretry"], " "); got != "2 0 3" {
		t.Errorf("GnuPG sees tries left %s", got)
	}
}

func TestGnuPGReadsTheCertificate(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("certificate", 0).Initialise()
	der := issue(t, d, "OPENPGP.3", "p256")

	g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
	got, _ := g.SCD("READCERT OPENPGP.3")
	if !bytes.Equal(got, der) {
		t.Errorf("READCERT gave %d bytes that are not the certificate: %X", len(got), got)
	}
}

func TestGpgsmMakesItsOwnRequest(t *testing.T) {
	// Not for elliptic curves: GnuPG 2.2 names RSA as the algorithm of the
	// signature, whatever the key on the card is.
	for _, algorithm := range []string{"rsa2048", "rsa3072"} {
		t.Run(algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card(algorithm, 0).Initialise()
			d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", algorithm)
			public := d.Run("cardctl", "export-key", "--key", "OPENPGP.3")

			d.GnuPG(0, stack.UserPIN, stack.AdminPIN).CardStatus()
			parameters := "Key-Type: card:OPENPGP.3\nKey-Usage: sign\nName-DN: CN=Floppy Head,O=Snake Oil,C=XY\nName-Email: floppy@example.com\n"
			got := d.VerifyRequest(d.RunInput(parameters, "gpgsm", "--batch", "--armor", "--generate-key"))
			if got.PublicKey != public {
				t.Errorf("the request is for another key:\n%s", got.PublicKey)
			}
			if got.Subject != "CN=Floppy Head,O=Snake Oil,C=XY" {
				t.Errorf("subject %s", got.Subject)
			}
		})
	}
}

func TestGpgsmTakesOurCertificate(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("learn", 0).Initialise()
	issue(t, d, "OPENPGP.3", "rsa2048")
	keygrip := d.Info().Keys[0].Keygrip

	g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
	g.CardStatus()
	d.Run("gpgsm", "--learn-card")
	d.Run("gpgsm", "--import", "ca.pem", "OPENPGP.3.csr.pem")
	listing := d.Run("gpgsm", "--with-colons", "--with-keygrip", "--list-secret-keys")
	if !strings.Contains(listing, "grp:::::::::"+keygrip+":") {
		t.Errorf("gpgsm does not find the key %s for the certificate:\n%s", keygrip, listing)
	}

	fingerprint := strings.ToUpper(strings.TrimSpace(d.Run("openssl", "x509", "-in", "ca.pem", "-noout", "-fingerprint", "-sha1")))
	_, fingerprint, _ = strings.Cut(strings.ReplaceAll(fingerprint, ":", ""), "=")
	d.Write("gnupg/trustlist.txt", fingerprint+" S relax\n", 0o600)
	message := d.Write("message", "from the desk\n", 0o600)
	d.Run("gpgsm", "--disable-crl-checks", "--local-user", "CN=Floppy Head", "--armor", "--output", "signed", "--detach-sign", message)
	d.Run("gpgsm", "--disable-crl-checks", "--verify", "signed", message)
}

func TestCardctlUsesAKeyOfGnuPG(t *testing.T) {
	for _, reference := range []string{"OPENPGP.1", "OPENPGP.3"} {
		t.Run(reference, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("genkey", 0).Initialise()
			g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
			g.CardStatus()
			slot := strings.TrimPrefix(reference, "OPENPGP.")
			_, status := g.SCD("GENKEY --timestamp=20240229T123456 " + slot)
			fields := g.CardStatus()
			g.Release()

			info := d.Info()
			if len(info.Keys) != 1 || info.Keys[0].Ref != reference {
				t.Fatalf("keys %+v", info.Keys)
			}
			made := info.Keys[0]
			if !strings.Contains(strings.ToUpper(strings.Join(status, "\n")), "KEY-FPR "+made.Fingerprint) {
				t.Errorf("info has the fingerprint %s, GENKEY said\n%s", made.Fingerprint, strings.Join(status, "\n"))
			}
			index, err := strconv.Atoi(slot)
			if err != nil {
				t.Fatal(err)
			}
			if got := fields["grp"][index-1]; got != made.Keygrip {
				t.Errorf("info has the keygrip %s, GnuPG %s", made.Keygrip, got)
			}
			if want := time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC); !made.Created.Equal(want) {
				t.Errorf("made at %s", made.Created)
			}
			public := d.Run("cardctl", "export-key", "--key", reference)
			got := d.VerifyRequest(d.Run("cardctl", "gen-csr", "--key", reference, "--subject", name))
			if got.PublicKey != public || got.Subject != name {
				t.Errorf("%+v", got)
			}
			if refused := d.Refused("gen-key", "--key", reference, "--yes"); refused.Exit != 9 || !strings.Contains(refused.Message+refused.Hint, made.Fingerprint) {
				t.Errorf("gen-key over it: %+v", refused)
			}
		})
	}
}

func TestHolderOfTheCardIsNamed(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("held", 0).Initialise()
	g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
	g.CardStatus()
	for _, args := range [][]string{
		{"info"},
		{"gen-key", "--key", "OPENPGP.3"},
		{"init", "--yes"},
	} {
		refused := d.Refused(args...)
		if refused.Exit != 6 || refused.Code != "card-busy" || !strings.Contains(strings.ToLower(refused.Message), "scdaemon") || refused.Hint == "" {
			t.Errorf("%v: %+v", args, refused)
		}
	}
	g.Release()
	d.Run("cardctl", "info")
}

// issue makes a key, a request for it, has it signed and imports the
// certificate, which it returns in DER.
func issue(t *testing.T, d *stack.Desk, key, algorithm string) []byte {
	t.Helper()
	d.Run("cardctl", "gen-key", "--key", key, "--algorithm", algorithm)
	pem := d.Run("cardctl", "gen-csr", "--key", key, "--subject", name, "--email", "floppy@example.com",
		"--key-usage", "digitalSignature,nonRepudiation", "--ext-key-usage", "clientAuth,emailProtection")
	certificate := d.Authority().Sign(d.Write(key+".csr", pem, 0o600))
	d.Run("cardctl", "import-cert", "--key", key, certificate)
	content, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return stack.ParseCertificate(t, content).Raw
}

// What GnuPG is set to is read when scdaemon starts: doctor and the error for a busy
// card say what it does, and what would make it share the card.
func TestScdaemonSharesTheCard(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("shared", 0).Initialise()
	g := d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
	alone := string(d.Read("gnupg/scdaemon.conf"))
	shared := alone + "pcsc-shared\n"

	g.CardStatus()
	busy(t, d, "With pcsc-shared in its scdaemon.conf, scdaemon shares the card.")
	diagnosed(t, d, "warn", "it holds a card that it uses exclusively. With pcsc-shared in its scdaemon.conf, it shares cards")

	d.Write("gnupg/scdaemon.conf", shared, 0o600)
	g.CardStatus()
	busy(t, d, "It reads pcsc-shared in its scdaemon.conf only when it starts.")
	diagnosed(t, d, "warn", "has pcsc-shared, but it reads that only when it starts")

	g.Release()
	serial := g.CardStatus()["serial"][0]
	if info := d.Info(); !strings.HasSuffix(info.Card.Serial, serial) {
		t.Errorf("info has the serial %s, GnuPG %s", info.Card.Serial, serial)
	}
	diagnosed(t, d, "pass", "it shares cards, because its scdaemon.conf has pcsc-shared")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3")
	g.Release()
	if got, want := g.CardStatus()["fpr"][2], d.Info().Keys[0].Fingerprint; got != want {
		t.Errorf("GnuPG has the fingerprint %s, info %s", got, want)
	}

	g.Release()
	d.Write("gnupg/scdaemon.conf", strings.ReplaceAll(shared, "disable-ccid\n", ""), 0o600)
	d.Run("gpg-connect-agent", "SCD GETINFO version", "/bye")
	d.Run("cardctl", "info")
	diagnosed(t, d, "warn", "Without disable-ccid there, it may take a USB reader away from the PC/SC service")
}

// busy checks the error for a card that scdaemon holds.
func busy(t *testing.T, d *stack.Desk, why string) {
	t.Helper()
	refused := d.Refused("info")
	if refused.Exit != 6 || !strings.Contains(refused.Message, why) || refused.Hint != "gpgconf --kill scdaemon" {
		t.Errorf("info: %+v", refused)
	}
}

// diagnosed checks what doctor says about scdaemon.
func diagnosed(t *testing.T, d *stack.Desk, result, detail string) {
	t.Helper()
	var report struct {
		Checks []struct{ Name, Result, Detail, Hint string }
	}
	if err := json.Unmarshal([]byte(d.Run("cardctl", "doctor", "-o", "json")), &report); err != nil {
		t.Fatal(err)
	}
	for _, check := range report.Checks {
		if check.Name != "scdaemon" {
			continue
		}
		if check.Result != result || !strings.Contains(check.Detail, detail) || (check.Hint == "") != (result == "pass") {
			t.Errorf("doctor: %+v", check)
		}
		return
	}
	t.Errorf("doctor has no check of scdaemon: %+v", report)
}
