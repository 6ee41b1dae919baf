//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/stack"
)

// swap is a command during which another card comes into the reader, at every
// moment at which the card is free.
type swap struct {
	// before are the commands that bring both cards to where they are.
	before []string
	// command is what runs when the card is swapped. Nothing of it is confirmed
	// by a flag.
	command string
	// secrets are the flags of its secrets in the order in which they are asked
	// for, with their values where they are not those of the desk.
	secrets []string
	// quiet is a command that never lets the card go.
	quiet bool
}

// kindOfCard is how the cards of one family are made.
type kindOfCard struct {
	name    string
	options cardsim.Options
	vars    []string
	// files are made before the commands run; nil for none.
	files map[string][]byte
	// secrets are the values of those that commands ask for.
	secrets map[string]string
	// same says that nothing tells two cards apart on which nothing is yet.
	same bool
}

// card makes a card and runs the commands that come before.
func (k kindOfCard) card(t *testing.T, serial string, before []string, d *swapDesk) *cardsim.Card {
	t.Helper()
	o := k.options
	o.Serial = serial
	card, err := cardsim.NewCard(o)
	if err != nil {
		t.Fatal(err)
	}
	d.put(card)
	for _, line := range before {
		d.must(d.words(line)...)
	}
	return card
}

// moment is when another card comes into the reader.
type swapMoment struct {
	what string
	n    int
}

// The kinds of moments.
const (
	whenFree  = "when the card is let go"
	whenAsked = "at a question or prompt"
	whenRun   = "when a program of OpenSC starts"
	atCommand = "before a command"
)

// come is who comes into the reader.
type come struct {
	name         string
	twin, nobody bool
	blind        bool
}

func comers() []come {
	return []come{
		{name: "another card"},
		{name: "a twin", twin: true},
		{name: "another card, the reader is blind", blind: true},
		{name: "nothing", nobody: true},
	}
}

// swapAll runs every workflow of a kind of card, with everybody who may come into
// the reader at each moment, with secrets that are typed and those of programs.
func swapAll(t *testing.T, k kindOfCard, workflows map[string]swap) {
	for name, w := range workflows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSwapDesk(t, k.vars...)
			d.writeKey("key.pem")
			for name, content := range k.files {
				d.writeFile(name, content)
			}
			other := k.card(t, "0DEFACED", w.before, d)
			named := k.card(t, "0BADCAFE", w.before, d)
			words := d.words(w.command)
			points, held, caught := 0, 0, 0
			for _, c := range comers() {
				if c.blind && k.same && len(w.before) == 0 {
					continue // nothing tells two blank cards apart then
				}
				for _, what := range []string{whenAsked, whenFree, whenRun, atCommand} {
					if what == atCommand && (!everyPoint() || c.blind || c.nobody) || what == whenFree && c.nobody {
						continue
					}
					for _, from := range []string{"prompt", "command", "pinentry"} {
						if from != "prompt" && (len(w.secrets) == 0 || !everyPoint() && (what != whenAsked || c.blind || c.nobody || c.twin == (from == "command"))) {
							continue
						}
						for n := 1; ; n++ {
							p := swapPoint{kind: k, swap: w, come: c, at: swapMoment{what, n}, from: from, words: words}
							came, stopped, ok := p.run(t, d, named, other)
							if !came {
								break
							}
							points++
							if stopped {
								caught++
							}
							if ok {
								held++
							}
						}
					}
				}
			}
			if (caught == 0) != w.quiet {
				t.Errorf("%d of %d swaps were noticed", caught, points)
			}
			if points > 0 {
				stack.Held(t, "swapped", k.name, name, "in-process", points, held)
			}
		})
	}
}

// swapPoint is one moment of one workflow.
type swapPoint struct {
	kind  kindOfCard
	swap  swap
	come  come
	at    swapMoment
	from  string // where secrets come from
	words []string
}

func (p swapPoint) String() string {
	return fmt.Sprintf("%s, %s %d, secrets from %s", p.come.name, p.at.what, p.at.n, p.from)
}

// run runs the command, and reports whether somebody came, whether the command
// stopped for it, and whether all was well.
func (p swapPoint) run(t *testing.T, d *swapDesk, named, other *cardsim.Card) (came, stopped, ok bool) {
	t.Helper()
	next := other
	if p.come.twin {
		next = named
	}
	javaDesk{d.in(t)}.forgetKeys()
	first, second := twin(t, named), twin(t, next)
	d.put(first)
	d.blind = p.come.blind
	reader, before, plan := d.reader, second.State(), func() {
		d.empty, d.during = p.come.nobody, d.running
		d.reader.Swap(second)
	}
	asked, started := 0, 0
	switch p.at.what {
	case whenFree:
		reader.SwapAt(cardsim.WhenFree(p.at.n), second)
	case atCommand:
		reader.SwapAt(cardsim.BeforeAPDU(p.at.n), second)
	}
	d.watch(func() {
		if started++; p.at == (swapMoment{whenRun, started}) {
			plan()
		}
	})
	r := p.answer(t, d, func() {
		held, err := reader.Stays()[0].Card.Connect(t.Context())
		if err != nil {
			t.Errorf("%s: the card is held while somebody is asked: %v", p, err)
		} else if err := held.Close(false); err != nil {
			t.Error(err)
		}
		if asked++; p.at == (swapMoment{whenAsked, asked}) {
			plan()
		}
	})
	stays := reader.Stays()
	if len(stays) == 1 {
		if r.exit != 0 {
			t.Fatalf("%s: exit status %d\n%s", p, r.exit, r.stderr)
		}
		return false, false, true
	}
	problems := p.judge(r, stays[1], d.during)
	if d.during == "" && !bytes.Equal(before, second.State()) {
		problems = append(problems, "the card that came was changed")
	}
	if len(problems) > 0 {
		t.Errorf("%s: %s\n%d\n%s\n%X", p, strings.Join(problems, "; "), r.exit, r.stderr, stays[1].Sent())
	}
	return true, r.exit == 10, len(problems) == 0
}

func twin(t *testing.T, c *cardsim.Card) *cardsim.Card {
	t.Helper()
	other, err := c.Twin()
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// judge says what is wrong with a run during which a card came.
func (p swapPoint) judge(r result, came *cardsim.Stay, during string) (wrong []string) {
	var e errorReport
	if r.exit != 0 {
		lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
		if err := json.Unmarshal([]byte(strings.Join(lines, "\n")), &e); err != nil {
			wrong = append(wrong, "the error is not JSON: "+err.Error())
		}
	}
	if during == "" {
		for _, apdu := range came.Sent() {
			if !readsOnly(apdu) {
				wrong = append(wrong, fmt.Sprintf("the card that came was sent %X", apdu))
			}
		}
	}
	switch {
	case r.exit == 0 && (p.at.what == whenAsked || len(came.Sent()) > 0 || during != ""):
		return append(wrong, "nobody noticed")
	case r.exit == 0:
		return wrong // it came when all was done
	case r.exit != 10:
		return append(wrong, "it is not said that another card is there")
	}
	switch {
	case p.come.nobody && e.Code != problem.CardRemoved, !p.come.nobody && p.at.what != atCommand && e.Code != problem.CardChanged:
		wrong = append(wrong, fmt.Sprintf("the code is %q", e.Code))
	case during != "" && !strings.Contains(e.Message, during):
		wrong = append(wrong, "it is not said that "+during+" ran meanwhile")
	}
	return wrong
}

// readsOnly reports whether a command neither carries a secret nor changes a card.
func readsOnly(apdu []byte) bool {
	c, _, err := iso7816.ParseCommand(slices.Clone(apdu))
	if err != nil {
		return false
	}
	switch c.INS {
	case iso7816.InsSelect, iso7816.InsGetData, 0xCB, 0xB0, 0xB1, 0xC0, 0x50, 0xF7, 0xF8: // READ BINARY, GET RESPONSE, INITIALIZE UPDATE, metadata and serial of a YubiKey
		return true
	case iso7816.InsVerify:
		return len(c.Data) == 0
	case 0x47: // reads a public key
		return c.P1 == 0x81
	}
	return false
}

// answer runs the command, with somebody at the terminal who answers what is
// asked; asked is called each time, before the answer.
func (p swapPoint) answer(t *testing.T, d *swapDesk, asked func()) result {
	t.Helper()
	var values []string
	args := append(slices.Clone(p.words), "-o", "json")
	run := *d.testDesk
	run.vars = append(slices.Clone(d.vars), "CARDCTL_PIN=", "CARDCTL_ADMIN_PIN=")
	programs := newSecretSource(t, asked)
	defer programs.end()
	// Without the second one, a pinentry that is built to measure coverage warns.
	run.vars = append(run.vars, secretPipes+"="+programs.dir, "GOCOVERDIR="+programs.dir)
	for _, secret := range p.swap.secrets {
		flag, value, given := strings.Cut(secret, "=")
		if !given {
			value = p.kind.secrets[flag]
		}
		switch p.from {
		case "prompt":
			values = append(values, value)
			args = append(args, "--"+flag, p.from)
		case "pinentry":
			programs.values = append(programs.values, value)
			args = append(args, "--"+flag, p.from)
		default:
			programs.values = append(programs.values, value)
			args = append(args, "--"+flag, "command:"+programs.ask())
		}
	}
	person := newPerson(t, values, asked)
	defer person.end()
	run.open = person.open
	return run.run(context.Background(), args)
}

// TestSwappedOpenPGPCard has another card in the reader at every moment of every
// workflow with OpenPGP cards.
func TestSwappedOpenPGPCard(t *testing.T) {
	withKey := slices.Concat(initialised, []string{"gen-key -k OPENPGP.3"})
	withCert := slices.Concat(withKey, []string{"gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/a.pem --yes", "import-cert -k OPENPGP.3 $W/a.pem"})
	another := slices.Concat(withCert, []string{"gen-csr -k OPENPGP.3 --subject CN=b --self-signed --days 2 --out $W/b.pem --yes"})
	swapAll(t, kindOfCard{name: "OpenPGP", vars: []string{"RESET_CODE=31415926"}, secrets: map[string]string{
		"pin": userPIN, "admin-pin": adminPIN, "new-pin": "904412", "current-admin-pin": adminPIN, "reset-code": "31415926",
	}}, map[string]swap{
		"init of a blank card":            {command: "init", secrets: []string{"pin", "admin-pin"}},
		"init of a used card":             {before: withCert, command: "init", secrets: []string{"pin", "admin-pin"}},
		"set-pin user":                    {before: initialised, command: "set-pin user", secrets: []string{"pin", "new-pin"}},
		"set-pin admin":                   {before: initialised, command: "set-pin admin", secrets: []string{"admin-pin", "new-pin=27182818"}},
		"set-pin reset-code":              {before: initialised, command: "set-pin reset-code", secrets: []string{"admin-pin", "new-pin=31415926"}},
		"unblock-pin":                     {before: initialised, command: "unblock-pin", secrets: []string{"admin-pin", "new-pin"}},
		"gen-key":                         {before: initialised, command: "gen-key -k OPENPGP.3", secrets: []string{"admin-pin"}},
		"gen-key, replacing":              {before: withKey, command: "gen-key -k OPENPGP.3 --replace $F", secrets: []string{"admin-pin"}},
		"import-key":                      {before: initialised, command: "import-key -k OPENPGP.3 $W/key.pem", secrets: []string{"admin-pin"}},
		"gen-csr":                         {before: withKey, command: "gen-csr -k OPENPGP.3 --subject CN=a", secrets: []string{"pin"}},
		"init with the current admin PIN": {before: withKey, command: "init", secrets: []string{"pin", "admin-pin", "current-admin-pin"}},
		"init with factory PINs":          {before: withKey, command: "init --factory-pins"},
		"unblock-pin with the resetting code": {
			before: append(slices.Clone(initialised), "set-pin reset-code --new-pin env:RESET_CODE"), command: "unblock-pin", secrets: []string{"reset-code", "new-pin"},
		},
		"import-key, replacing":      {before: withKey, command: "import-key -k OPENPGP.3 --replace $F $W/key.pem", secrets: []string{"admin-pin"}},
		"gen-key, the key is chosen": {before: initialised, command: "gen-key", secrets: []string{"admin-pin"}},
		"gen-csr, the key is chosen": {before: append(slices.Clone(initialised), "gen-key -k OPENPGP.1"), command: "gen-csr --subject CN=a", secrets: []string{"pin"}},
		"import-cert":                {before: withCert[:len(withCert)-1], command: "import-cert -k OPENPGP.3 $W/a.pem", secrets: []string{"admin-pin"}},
		"import-cert, replacing":     {before: another, command: "import-cert -k OPENPGP.3 $W/b.pem", secrets: []string{"admin-pin"}},
		"enroll":                     {before: withCert, command: "enroll -k OPENPGP.3 --subject CN=a --issuer command:cat<$W/a.pem --yes", secrets: []string{"pin", "admin-pin"}},
		"delete-cert":                {before: withCert, command: "delete-cert -k OPENPGP.3", secrets: []string{"admin-pin"}},
		"gen-csr, self-signed":       {before: withKey, command: "gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2", secrets: []string{"pin"}},
	})
}

// TestSwappedWhileAttesting is the same for a statement, which some cards write over the
// certificate of the key.
func TestSwappedWhileAttesting(t *testing.T) {
	withCert := slices.Concat(initialised, []string{
		"gen-key -k OPENPGP.3", "gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/a.pem --yes", "import-cert -k OPENPGP.3 $W/a.pem",
	})
	swapAll(t, kindOfCard{
		name: "OpenPGP of a YubiKey", options: cardsim.Options{Profile: "openpgp-yubikey-5.7"}, secrets: map[string]string{"pin": userPIN, "admin-pin": adminPIN},
	}, map[string]swap{
		"attest":                    {before: withCert, command: "attest -k OPENPGP.3", secrets: []string{"pin"}},
		"attest with the admin PIN": {before: withCert, command: "attest -k OPENPGP.3", secrets: []string{"admin-pin", "pin"}},
	})
}
