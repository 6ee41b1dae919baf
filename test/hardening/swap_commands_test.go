//go:build cgo && linux && stack

package hardening

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/test/stack"
)

// swapKind is a kind of card that is swapped in the reader of the daemon.
type swapKind struct {
	name, application string
	before            []string // what brings a card to where it is
}

// swapCommand is a command during which the card is swapped.
type swapCommand struct {
	kind, command string
	secret        string // the flag of the secret whose program waits for the swap
	// often is one of those that are swapped in every run of the tests.
	often bool
}

// The moments of a swap. A program of OpenSC is held up before it begins, and after
// it has ended.
const (
	atPIN      = "while the PIN is looked for"
	beforeTool = "when pkcs15-init starts"
	afterTool  = "when pkcs15-init has ended"
)

// everySwap says that all workflows are swapped, by a twin and by another card.
func everySwap() bool { return os.Getenv("PULL_EVERY") != "" }

const (
	appletPUK = "1234567890123456"
	myEIDPUK  = "12345678"
	soPIN     = "87654321"
)

func swapKinds() []swapKind {
	return []swapKind{
		{"OpenPGP", "openpgp", []string{"init --yes", "gen-key -k OPENPGP.3", "gen-key -k OPENPGP.1"}},
		{"IsoApplet", "pkcs15", []string{"init --app pkcs15 --yes --puk env:PUK16", "gen-key -k PKCS15.45 -a rsa2048"}},
		{"MyEID", "myeid", []string{"init --app pkcs15 --yes --puk env:PUK8 --so-pin env:SO", "gen-key -k PKCS15.45 -a p256"}},
	}
}

func swapCommands() []swapCommand {
	return []swapCommand{
		{"OpenPGP", "init --yes", "pin", false},
		{"OpenPGP", "set-pin user --new-pin env:NEW", "pin", true},
		{"OpenPGP", "unblock-pin --new-pin env:NEW", "admin-pin", false},
		{"OpenPGP", "gen-key -k OPENPGP.2", "admin-pin", false},
		{"OpenPGP", "gen-csr -k OPENPGP.3 --subject CN=a", "pin", false},
		{"OpenPGP", "smoke-test -k OPENPGP.3 --module opensc", "pin", true},
		{"IsoApplet", "init --app pkcs15 --yes --puk env:PUK16 --allow-unknown-tries", "pin", true},
		{"IsoApplet", "set-pin user --app pkcs15 --new-pin env:NEW", "pin", false},
		{"IsoApplet", "gen-key -k PKCS15.46 -a p256", "pin", true},
		{"IsoApplet", "import-key -k PKCS15.46 key.pem", "pin", false},
		{"IsoApplet", "gen-csr -k PKCS15.45 --subject CN=a", "pin", false},
		{"IsoApplet", "smoke-test -k PKCS15.45 --module opensc", "pin", false},
		{"MyEID", "init --app pkcs15 --yes --puk env:PUK8 --so-pin env:SO --current-so-pin env:SO", "pin", true},
		{"MyEID", "set-pin user --app pkcs15 --new-pin env:NEW", "pin", false},
		{"MyEID", "gen-key -k PKCS15.46 -a p256", "pin", false},
		{"MyEID", "import-key -k PKCS15.46 key.pem", "pin", false},
		{"MyEID", "gen-csr -k PKCS15.45 --subject CN=a", "pin", false},
		{"MyEID", "smoke-test -k PKCS15.45 --module opensc", "pin", false},
	}
}

// workflow is the command without its flags.
func (c swapCommand) workflow() string {
	name, _, _ := strings.Cut(c.command, " -")
	return name
}

// runs reports whether pkcs15-init runs in a command.
func (c swapCommand) runs() bool {
	return c.kind != "OpenPGP" && (strings.HasPrefix(c.command, "init") || strings.HasPrefix(c.command, "import-key")) ||
		c.kind == "IsoApplet" && strings.HasPrefix(c.command, "gen-key")
}

// TestSwappedThroughDaemon has another card in the reader of the PC/SC daemon while a
// PIN is looked for, and while a program of OpenSC runs. With PULL_EVERY it is every
// workflow, with a twin and with another card.
func TestSwappedThroughDaemon(t *testing.T) {
	for _, k := range swapKinds() {
		t.Run(k.name, func(t *testing.T) {
			d := newSwapDesk(t)
			named := d.prepare(k, "0BADCAFE")
			var other *cardsim.Card
			if everySwap() {
				other = d.prepare(k, "0DEFACED")
			}
			for _, c := range swapCommands() {
				if c.kind != k.name || !c.often && !everySwap() {
					continue
				}
				points, held := 0, 0
				for _, moment := range []string{atPIN, beforeTool, afterTool} {
					for _, comes := range []*cardsim.Card{named, other} {
						if comes == nil || moment != atPIN && !c.runs() || moment == afterTool && !everySwap() {
							continue
						}
						points++
						who := "a twin"
						if comes == other {
							who = "another card"
						}
						if t.Run(fmt.Sprintf("%s, %s, %s", c.command, moment, who), func(t *testing.T) { d.in(t).swap(c, moment, named, comes) }) {
							held++
						}
					}
				}
				stack.Held(t, "swapped", k.name, c.workflow(), "daemon", points, held)
			}
		})
	}
}

// swapDesk is a desk whose pkcs15-init can be held up.
type swapDesk struct {
	*stack.Desk
	t *testing.T
}

func newSwapDesk(t *testing.T) swapDesk {
	t.Helper()
	d := swapDesk{stack.NewDesk(t), t}
	for name, value := range map[string]string{
		"CARDCTL_READER": stack.ReaderName(0), "CARDCTL_PIN": stack.UserPIN, "CARDCTL_ADMIN_PIN": stack.AdminPIN,
		"PUK16": appletPUK, "PUK8": myEIDPUK, "SO": soPIN, "NEW": "904412",
	} {
		d.Setenv(name, value)
	}
	d.Run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", d.Path("key.pem"))
	tool, err := exec.LookPath("pkcs15-init")
	if err != nil {
		t.Fatal(err)
	}
	hold := func(when string) string { return "[ -e " + d.Path("hold-"+when) + " ] && { " + d.wait() + "; }\n" }
	d.Write("bin/pkcs15-init", "#!/bin/sh\n"+hold("before")+tool+" \"$@\"\nended=$?\n"+hold("after")+"exit $ended\n", 0o700)
	d.Setenv("PATH", d.Path("bin")+":"+os.Getenv("PATH"))
	return d
}

// in is the same desk in a test of its own.
func (d swapDesk) in(t *testing.T) swapDesk { return swapDesk{d.Desk, t} }

// wait is what a program does that tells that it runs, and waits for the swap.
func (d swapDesk) wait() string {
	return "touch " + d.Path("began") + "; while ! [ -e " + d.Path("go-on") + " ]; do sleep 0.05; done"
}

// prepare makes a card and brings it to where it is when it is swapped.
func (d swapDesk) prepare(k swapKind, serial string) *cardsim.Card {
	d.t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Applications: []string{k.application}, Serial: serial})
	if err != nil {
		d.t.Fatal(err)
	}
	pull := stack.NewLine(d.t, 0).Insert(card)
	for _, line := range k.before {
		d.Run("cardctl", strings.Fields(line)...)
	}
	pull()
	return card
}

// swap runs the command with one card, and lets another come in its place.
func (d swapDesk) swap(c swapCommand, moment string, named, comes *cardsim.Card) {
	d.t.Helper()
	card, other := twinOf(d.t, named), twinOf(d.t, comes)
	for _, name := range []string{"began", "go-on", "hold-before", "hold-after"} {
		if err := os.RemoveAll(d.Path(name)); err != nil {
			d.t.Fatal(err)
		}
	}
	args := strings.Fields(c.command)
	for i, arg := range args {
		if arg == "key.pem" {
			args[i] = d.Path(arg)
		}
	}
	switch moment {
	case atPIN:
		value := stack.UserPIN
		if c.secret == "admin-pin" {
			value = stack.AdminPIN
		}
		args = append(args, "--"+c.secret, "command:"+d.wait()+"; echo "+value)
	case beforeTool:
		d.Write("hold-before", "", 0o600)
	case afterTool:
		d.Write("hold-after", "", 0o600)
	}
	reader := cardsim.NewReader(card)
	line := stack.NewLine(d.t, 0)
	pull := line.Insert(reader)
	defer pull()
	done := make(chan stack.Result, 1)
	go func() { done <- d.Try("cardctl", append(args, "-o", "json")...) }()
	d.Eventually("the program runs", func() bool { _, err := os.Stat(d.Path("began")); return err == nil })
	reader.Swap(other)
	line.Await(true)
	d.Write("go-on", "", 0o600)
	d.judge(<-done, moment, reader.Stays()[1])
}

// judge looks at what is said, and at what the card got that came.
func (d swapDesk) judge(r stack.Result, moment string, came *cardsim.Stay) {
	d.t.Helper()
	var e struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil {
		d.t.Errorf("%v: %v", err, r)
	}
	if r.Exit != 10 || e.Code != "card-changed" {
		d.t.Errorf("exit status %d, code %q\n%v", r.Exit, e.Code, r)
	}
	if moment != atPIN {
		if !strings.Contains(e.Message, "pkcs15-init") {
			d.t.Errorf("it is not said what ran: %q", e.Message)
		}
		if moment == beforeTool {
			return
		}
	}
	if came.Changed() {
		d.t.Error("the card that came was changed")
	}
	d.onlyRead(came)
}

// onlyRead wants no secret sent to a card, and nothing that changes it.
func (d swapDesk) onlyRead(came *cardsim.Stay) {
	d.t.Helper()
	for _, apdu := range came.Sent() {
		c, _, err := iso7816.ParseCommand(slices.Clone(apdu))
		carries := len(c.Data) > 0 && slices.Contains([]byte{iso7816.InsVerify, iso7816.InsChangeReferenceData, iso7816.InsResetRetryCounter}, c.INS)
		if err != nil || carries || slices.Contains([]byte{0x2A, 0x46, 0x88, 0xD6, 0xD7, 0xDA, 0xDB, 0xE0, 0xE4, 0xE6, 0x44}, c.INS) {
			d.t.Errorf("the card that came was sent %X", apdu)
		}
	}
}

func twinOf(t *testing.T, c *cardsim.Card) *cardsim.Card {
	t.Helper()
	twin, err := c.Twin()
	if err != nil {
		t.Fatal(err)
	}
	return twin
}

// TestSwappedWithATwinInTheOtherReader has two cards of one serial in two readers: the PIN
// goes to the one that was named, whose tries were looked at.
func TestSwappedWithATwinInTheOtherReader(t *testing.T) {
	d := newSwapDesk(t)
	card := d.prepare(swapKinds()[0], "0BADCAFE")
	points, held := 0, 0
	for named := range 2 {
		points++
		if t.Run(stack.ReaderName(named), func(t *testing.T) {
			d := d.in(t)
			var readers [2]*cardsim.Reader
			for i := range readers {
				readers[i] = cardsim.NewReader(twinOf(t, card))
				pull := stack.NewLine(t, i).Insert(readers[i])
				defer pull()
			}
			r := d.Try("cardctl", "smoke-test", "-k", "OPENPGP.3", "--module", "opensc", "--reader", stack.ReaderName(named))
			if r.Exit != 0 {
				t.Error(r)
			}
			meant, other := readers[named].Stays()[0], readers[1-named].Stays()[0]
			if !slices.ContainsFunc(meant.Sent(), func(apdu []byte) bool { return len(apdu) > 5 && apdu[1] == iso7816.InsVerify }) {
				t.Error("the card that was named was not sent the PIN")
			}
			if other.Changed() {
				t.Error("the other card was changed")
			}
			d.onlyRead(other)
		}) {
			held++
		}
	}
	stack.Held(t, "swapped", "OpenPGP", "smoke-test, a twin in the other reader", "daemon", points, held)
}

// TestSwappedBeforeTheLogin has a twin in the reader when the module is about to send
// the PIN, after the tries left were looked at; with PULL_EVERY before each command of
// smoke-test.
func TestSwappedBeforeTheLogin(t *testing.T) {
	d := newSwapDesk(t)
	card := d.prepare(swapKinds()[0], "0BADCAFE")
	smokeTest := func(t *testing.T, reader *cardsim.Reader) stack.Result {
		t.Helper()
		line := stack.NewLine(t, 0)
		pull := line.Insert(reader)
		r := d.in(t).Try("cardctl", "smoke-test", "-k", "OPENPGP.3", "--module", "opensc", "-o", "json")
		line.Await(true)
		pull()
		return r
	}
	reader := cardsim.NewReader(twinOf(t, card))
	if r := smokeTest(t, reader); r.Exit != 0 {
		t.Fatal(r)
	}
	sent := reader.Stays()[0].Sent()
	login := 1 + slices.IndexFunc(sent, func(apdu []byte) bool { return apdu[1] == iso7816.InsVerify && len(apdu) > 5 })
	moments := []int{login - 1, login, login + 1}
	if everySwap() {
		moments = nil
		for n := range sent {
			moments = append(moments, n+1)
		}
	}
	points, held := 0, 0
	for _, n := range moments {
		points++
		if t.Run(fmt.Sprintf("before command %d of %d", n, len(sent)), func(t *testing.T) {
			reader := cardsim.NewReader(twinOf(t, card))
			reader.SwapAt(cardsim.BeforeAPDU(n), twinOf(t, card))
			r := smokeTest(t, reader)
			stays := reader.Stays()
			if len(stays) != 2 || r.Exit != 10 && r.Exit != 0 || r.Exit == 0 && n <= login {
				t.Fatalf("%d cards\n%v", len(stays), r)
			}
			if stays[1].Changed() {
				t.Error("the card that came was changed")
			}
			d.in(t).onlyRead(stays[1])
		}) {
			held++
		}
	}
	stack.Held(t, "swapped", "OpenPGP", "smoke-test, before a command", "daemon", points, held)
}
