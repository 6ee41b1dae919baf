//go:build stack

package bench

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// What is promised of PKCS#15 cards: the whole way from a blank card, and how many
// commands more than one signature by pkcs11-tool the smoke test may take for
// each further mechanism.
const (
	pkcs15WayLimit      = 170
	perFurtherMechanism = 2
)

const (
	pkcs15Key = "PKCS15.45"
	pkcs15PUK = "1234567890123456"
	// longCertificate is what a certificate with many names has, in bytes.
	longCertificate = 2000
)

// pkcs15Desk is a desk with a blank IsoApplet on a wire.
type pkcs15Desk struct {
	*stack.Desk
	wire *stack.Wire
	ca   *stack.Authority
}

func newPKCS15Desk(t *testing.T) *pkcs15Desk {
	d := stack.NewDesk(t)
	_, wire := d.WiredCard("pkcs15", 0, "--applications", "pkcs15")
	d.Setenv("CARDCTL_PUK", pkcs15PUK)
	d.Setenv("PIN", stack.UserPIN)
	d.Setenv("PUK", pkcs15PUK)
	return &pkcs15Desk{d, wire, d.Authority()}
}

// count is what the card gets while something is done.
func (d *pkcs15Desk) count(do func()) stack.Count {
	before := d.wire.Count()
	do()
	return d.wire.Count().Sub(before)
}

// pkcs15Way is init, gen-key, gen-csr and import-cert as one program does them,
// and a last one with a long certificate.
func (d *pkcs15Desk) way(init, generate, request, store func()) []stack.Count {
	counts := []stack.Count{d.count(init), d.count(generate), d.count(request)}
	d.ca.Sign("desk.csr")
	counts = append(counts, d.count(store))
	return counts
}

// pkcs15Jobs are what way counts.
var pkcs15Jobs = []string{"init", "gen-key, RSA 2048", "gen-csr", "import-cert"}

// TestPKCS15RoundTrips counts APDUs on an IsoApplet.
func TestPKCS15RoundTrips(t *testing.T) {
	var ours, theirs []stack.Count
	var smoke, sign stack.Count
	var mechanisms, length int
	var long stack.Count
	t.Run("cardctl", func(t *testing.T) {
		d := newPKCS15Desk(t)
		ours = d.way(
			func() { d.Run("cardctl", "init", "--app", "pkcs15", "--yes", "--label", "desk") },
			func() { d.Run("cardctl", "gen-key", "--key", pkcs15Key, "--label", "vpn") },
			func() { d.Run("cardctl", "gen-csr", "--key", pkcs15Key, "--subject", subject, "--out", "desk.csr") },
			func() { d.Run("cardctl", "import-cert", "--key", pkcs15Key, "desk.csr.pem") },
		)
		smoke = d.count(func() { mechanisms = d.smoke() })
		sign = d.count(func() { d.sign() })
		length, long = d.longCertificate()
	})
	t.Run("OpenSC", func(t *testing.T) {
		d := newPKCS15Desk(t)
		theirs = d.way(
			func() {
				d.Run("pkcs15-init", "--create-pkcs15", "--label", "desk", "--so-pin", "env:PIN", "--so-puk", "env:PUK")
			},
			func() {
				d.Run("pkcs15-init", "--generate-key", "rsa:2048", "--id", "45", "--auth-id", "FF", "--label", "vpn", "--pin", "env:PIN")
			},
			func() {
				d.Run("openssl", "req", "-new", "-engine", "pkcs11", "-keyform", "engine", "-subj", "/CN=Floppy Head", "-out", "desk.csr",
					"-key", "pkcs11:token=desk%20%28User%20PIN%29;id=%45;type=private;pin-value="+stack.UserPIN)
			},
			func() {
				d.Run("pkcs15-init", "--store-certificate", "desk.csr.pem", "--id", "45", "--auth-id", "FF", "--label", "vpn", "--pin", "env:PIN")
			},
		)
	})
	if t.Failed() {
		return
	}

	var table table
	d := stack.NewDesk(t)
	table.row("job on a PKCS#15 card", "at most", "cardctl", versioned(t, d, "OpenSC", "opensc-tool", "--info"))
	way, peer := stack.Count{}, stack.Count{}
	for i, job := range pkcs15Jobs {
		table.row(job, "–", cell(ours[i]), cell(theirs[i]))
		way, peer = way.Add(ours[i]), peer.Add(theirs[i])
	}
	table.row(wholeWay, strconv.Itoa(pkcs15WayLimit), cell(way), cell(peer))
	table.row(fmt.Sprintf("the same, a certificate of %d bytes", length), strconv.Itoa(pkcs15WayLimit), cell(way.Sub(ours[3]).Add(long)), "–")
	limit := sign.APDUs + perFurtherMechanism*(mechanisms-1)
	table.row(fmt.Sprintf("smoke-test, %d mechanisms", mechanisms), strconv.Itoa(limit), cell(smoke), cell(sign))
	table.note = "The card is a simulated IsoApplet. The OpenSC column is from `pkcs15-init`, `openssl req -engine pkcs11` and one\n" +
		"`pkcs11-tool --sign` instead of `smoke-test`. The limit of `smoke-test` is that count, plus 2 for each further mechanism."
	table.publish(t)
	for name, got := range map[string]int{wholeWay: way.APDUs, "with a long certificate": way.APDUs - ours[3].APDUs + long.APDUs} {
		if got > pkcs15WayLimit {
			t.Errorf("%s: %d APDUs, the limit is %d", name, got, pkcs15WayLimit)
		}
	}
	if smoke.APDUs > limit {
		t.Errorf("smoke-test: %d APDUs, the limit is %d", smoke.APDUs, limit)
	}
}

// smoke runs the smoke test, and returns with how many mechanisms the key was
// used.
func (d *pkcs15Desk) smoke() (mechanisms int) {
	var report struct {
		Checks []struct{ Name, Result string }
	}
	if err := json.Unmarshal([]byte(d.Run("cardctl", "smoke-test", "--key", pkcs15Key, "-o", "json")), &report); err != nil {
		return 0
	}
	for _, c := range report.Checks {
		if c.Result == "pass" && (strings.HasPrefix(c.Name, "sign ") || strings.HasPrefix(c.Name, "decrypt ")) {
			mechanisms++
		}
	}
	return mechanisms
}

// sign has pkcs11-tool make one signature.
func (d *pkcs15Desk) sign() {
	message := d.Write("message", "from the desk\n", 0o600)
	d.Run("pkcs11-tool", "--module", "opensc-pkcs11.so", "--login", "--pin", "env:PIN", "--sign", "--mechanism", "SHA256-RSA-PKCS",
		"--id", "45", "--input-file", message, "--output-file", d.Path("signature"))
}

// longCertificate imports a certificate with many names on a card that is
// otherwise as it was before the first.
func (d *pkcs15Desk) longCertificate() (length int, count stack.Count) {
	d.Run("cardctl", "init", "--app", "pkcs15", "--yes", "--label", "desk", "--allow-unknown-tries")
	d.Run("cardctl", "gen-key", "--key", pkcs15Key, "--label", "vpn")
	args := []string{"gen-csr", "--key", pkcs15Key, "--subject", subject, "--out", "long.csr"}
	for n := 0; n*len("desk00.example.com") < longCertificate-800; n++ {
		args = append(args, "--dns", fmt.Sprintf("desk%02d.example.com", n))
	}
	d.Run("cardctl", args...)
	d.Run("openssl", "x509", "-in", d.ca.Sign("long.csr"), "-outform", "DER", "-out", "long.der")
	count = d.count(func() { d.Run("cardctl", "import-cert", "--key", pkcs15Key, "long.der") })
	return len(d.Read("long.der")), count
}
