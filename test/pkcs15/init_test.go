//go:build stack

package pkcs15

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func asProblem(err error, p **problem.Error) bool { return errors.As(err, p) }

// usable has OpenSC and this program each make a key on the card.
func (b *bench) usable(pin string) {
	b.t.Helper()
	b.desk.Setenv("PIN", pin)
	b.pins[secret.PIN] = pin
	b.opensc("pkcs15-init", "--generate-key", "rsa:2048", "--id", "77", "--auth-id", "FF", "--pin", "env:PIN", "--label", "theirs")
	b.generate("PKCS15.78", key.Spec{})
	b.request("PKCS15.77", "usable.csr")
	b.desk.VerifyRequest(string(b.desk.Read("usable.csr")))
}

func TestInitOfAUsedCard(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{Label: "vpn"})

	b.allowed = false
	if _, err := b.init(); !problem.Is(err, problem.TriesUnknown) {
		t.Fatalf("nothing tells the tries of the PUK: %v", err)
	}
	b.allowed = true
	b.pins[secret.PUK], b.pins[secret.PIN] = "0000000000000000", newPIN
	if _, err := b.init(); !problem.Is(err, problem.PINIncorrect) || !strings.Contains(err.Error(), "Nothing on the card was changed") {
		t.Fatalf("with a wrong PUK: %v", err)
	}
	b.public("PKCS15.45")

	b.pins[secret.PUK] = puk
	report, err := b.init()
	if err != nil || !report.Erased || len(report.Lost) != 1 || !strings.Contains(report.Lost[0], "PKCS15.45") {
		t.Fatalf("%+v: %v", report, err)
	}
	if listing := b.opensc("pkcs15-tool", "--dump"); strings.Contains(listing, "Key") || !strings.Contains(listing, "PIN [User PIN]") {
		t.Errorf("after init:\n%s", listing)
	}
	b.usable(newPIN)
}

func TestInitWithTheCardsOwnPIN(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	delete(b.pins, secret.PUK)
	b.pins[secret.PIN] = "999999"
	if _, err := b.init(); !problem.Is(err, problem.PINIncorrect) {
		t.Fatalf("with neither PIN nor PUK: %v", err)
	}
	b.pins[secret.PIN] = userPIN
	b.mustInit()
	b.usable(userPIN)
}

func TestInitOfABlockedCard(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	for range 3 {
		b.verifiedByOpenSC("999999")
	}
	b.mustInit()
	b.usable(userPIN)
}

func TestInitAfterAnInterruptedOne(t *testing.T) {
	pukOnly := append([]byte{0x00, 0x24, 0x01, 0x02, 16}, puk...)
	someDF := []byte{0x00, 0xE0, 0x00, 0x00, 0x17, 0x6F, 0x15, 0x81, 0x02, 0x13, 0x88, 0x82, 0x01, 0x38, 0x83, 0x02, 0x50, 0x15, 0x86, 0x08, 0xFF, 0, 0, 0, 0, 0, 0, 0x90}
	for name, commands := range map[string][][]byte{
		"the PUK is set":           {pukOnly},
		"a directory is made":      {someDF},
		"a directory and the PUK":  {someDF, pukOnly},
		"nothing, it never began":  {},
		"PUK and PIN, and no file": {pukOnly, append([]byte{0x00, 0x24, 0x01, 0x01, 6}, userPIN...)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			ch, err := b.line.Channel(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ch.Select(t.Context(), []byte{0xF2, 0x76, 0xA2, 0x88, 0xBC, 0xFB, 0xA6, 0x9D, 0x34, 0xF3, 0x10, 0x01}); err != nil {
				t.Fatal(err)
			}
			for _, apdu := range commands {
				cmd, _, err := iso7816.ParseCommand(apdu)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := ch.Send(t.Context(), cmd); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.line.Release(); err != nil {
				t.Fatal(err)
			}
			b.mustInit()
			b.usable(userPIN)
			b.pins[secret.NewPIN] = newPIN
			if err := b.unblock(); err != nil {
				t.Errorf("the PUK is not set: %v", err)
			}
		})
	}
}

func TestInitRefusesBeforeItErases(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{})
	for name, tt := range map[string]struct {
		pins map[secret.Name]string
		code problem.Code
	}{
		"an SO PIN":   {map[secret.Name]string{secret.SOPIN: "12345678", secret.PIN: userPIN, secret.PUK: puk}, problem.NotSupported},
		"a short PIN": {map[secret.Name]string{secret.PIN: "123", secret.PUK: puk}, problem.Usage},
		"a long PIN":  {map[secret.Name]string{secret.PIN: strings.Repeat("1", 17), secret.PUK: puk}, problem.Usage},
		"a short PUK": {map[secret.Name]string{secret.PIN: userPIN, secret.PUK: "12345678"}, problem.Usage},
	} {
		b.pins = tt.pins
		if _, err := b.init(); !problem.Is(err, tt.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.public("PKCS15.45")
}

func TestNoSecretInArguments(t *testing.T) {
	b := newBench(t)
	log := b.desk.Path("arguments")
	wrapper := b.desk.Write("wrapper", "#!/bin/sh\nprogram=$(basename \"$0\")\necho \"$program $*\" >>"+log+"\nexec /usr/bin/$program \"$@\"\n", 0o700)
	for _, program := range []string{"pkcs15-init", "pkcs15-tool", "pkcs15-crypt", "opensc-tool"} {
		if err := os.Symlink(wrapper, b.desk.Path(program)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", b.desk.Path("")+string(os.PathListSeparator)+os.Getenv("PATH"))
	b.env = append(os.Environ(), "CARDCTL_PIN="+userPIN)
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{})
	b.deafen(true)
	t.Setenv("OPENSC_DRIVER", "isoApplet")
	b.request("PKCS15.45", "desk.csr")
	if err := b.setPIN(pin.User); err != nil {
		t.Fatal(err)
	}
	arguments := string(b.desk.Read("arguments"))
	for _, secret := range []string{userPIN, newPIN, puk} {
		if strings.Contains(arguments, secret) {
			t.Errorf("a secret in the arguments:\n%s", arguments)
		}
	}
	for _, program := range []string{"pkcs15-init --reader", "pkcs15-tool --reader", "pkcs15-crypt --reader", "opensc-tool --info"} {
		if !strings.Contains(arguments, program) {
			t.Errorf("%s was not run:\n%s", program, arguments)
		}
	}
}

func TestWithoutOpenSC(t *testing.T) {
	b := newBench(t)
	b.desk.Write("old/opensc-tool", "#!/bin/sh\necho 'OpenSC 0.21.0 [gcc  10.2.1]'\n", 0o700)
	for name, tt := range map[string]struct {
		path string
		code problem.Code
	}{
		"missing": {b.desk.Path("none"), problem.NotFound},
		"old":     {b.desk.Path("old"), problem.NotSupported},
	} {
		t.Setenv("PATH", tt.path)
		before := b.wire.Count()
		_, err := b.init()
		var p *problem.Error
		if !problem.Is(err, tt.code) || !asProblem(err, &p) || !slices.Contains(p.Next.Program, "opensc") || len(b.asked) > 0 {
			t.Errorf("%s: %v, asked for %v", name, err, b.asked)
		}
		if spent := b.wire.Count().Sub(before).APDUs; spent > 3 { // SELECT, the tries left, and which card it is
			t.Errorf("%s: %d APDUs", name, spent)
		}
	}
}
