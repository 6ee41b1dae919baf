// Package pkcs15 is the family of PKCS#15 cards: IsoApplet and MyEID cards,
// which are used directly, and all others that OpenSC's programs can reach.
// What is on a card, and how it is written, is left to internal/pkcs15.
package pkcs15

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
)

// name is that of the family in --app, prefix the first word of its references.
const (
	name   = "pkcs15"
	prefix = "PKCS15"
	kind   = "PKCS#15 card"
)

// Family is the kind of card.
func Family() card.Family {
	return card.Family{
		Apps: []string{name}, Kind: kind, Initialises: []string{name}, Lent: true,
		Example: prefix + ".45", Syntax: prefix + ".45 (the object ID in hex)",
		Roles: []pin.Role{pin.User, pin.SO, pin.PUK}, PINForm: func(pin.Role) card.PINForm { return card.PINForm{Least: app.LeastPIN, Most: app.MostPIN} },
		Parse: parse, Describe: describe, Strangers: strangers, Open: open,
		Probes: []card.Probe{
			{App: name, Type: kind, AID: standardAID()},
			{App: name, Type: kind + " (IsoApplet)", AID: []byte{0xF2, 0x76, 0xA2, 0x88, 0xBC, 0xFB, 0xA6, 0x9D, 0x34, 0xF3, 0x10, 0x01}, Beside: true},
		},
	}
}

// standardAID is that of ISO/IEC 7816-15, 7.1.
func standardAID() []byte {
	return []byte{0xA0, 0x00, 0x00, 0x00, 0x63, 0x50, 0x4B, 0x43, 0x53, 0x2D, 0x31, 0x35}
}

// parse reads PKCS15.45, in any case.
func parse(reference string) (key.Reference, bool, error) {
	first, id, found := strings.Cut(strings.ToUpper(reference), ".")
	if !found || first != prefix {
		return key.Reference{}, false, nil
	}
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) == 0 {
		return key.Reference{}, true, problem.New(problem.Usage, "unknown key of a %s", kind).
			Because("The ID must be in hex, two digits per byte, such as 45.").Advise(advice.Do(advice.ShowCard))
	}
	return referenceTo(raw), true, nil
}

// referenceTo is the key with an ID.
func referenceTo(id []byte) key.Reference {
	text := fmt.Sprintf("%X", id)
	return key.Reference{Family: prefix, ID: text, Text: prefix + "." + text}
}

// describe adds label and serial where that takes no other program.
func describe(ctx context.Context, line *desk.Line, found *card.Identity) error {
	open := app.Open
	if !found.Thorough && len(found.Applications) == 1 && found.Applications[0].AID == fmt.Sprintf("%X", standardAID()) {
		open = app.OpenSelected // the applications that were looked for since are not on the card
	}
	p, err := open(ctx, line, tools(line))
	switch {
	case err != nil || !p.Known() && !found.Thorough:
		return err
	}
	called := p.Called
	if !p.Known() {
		called = p.Standard
	}
	told, err := called(ctx)
	found.Label, found.Serial = told.Label, told.Serial
	return err
}

// throughOpenSC is what a card is called that only OpenSC knows.
const throughOpenSC = "card read through OpenSC"

// strangers has OpenSC say what the card is.
func strangers(ctx context.Context, line *desk.Line, found *card.Identity) error {
	p, err := app.Open(ctx, line, tools(line))
	if err != nil {
		return err
	}
	told, err := p.AsOpenSC(ctx)
	if err != nil {
		return key.Explain(err, "reading the card through OpenSC", "")
	}
	found.Serial, found.Label, found.Through = told.Serial, told.Label, opensc
	if len(found.Applications) == 0 {
		found.Type = throughOpenSC
	}
	return nil
}

// opensc is what reports call the programs of OpenSC.
const opensc = "OpenSC"

// Through says that a card is read by the programs of OpenSC.
func (c *Card) Through() string {
	if c.app.Known() {
		return ""
	}
	return opensc
}

func tools(line *desk.Line) app.Tools {
	return app.Tools{
		Env: line.ChildEnv(), Run: line.RunProgram(), Simulated: strings.TrimPrefix(line.Place(), desk.SimulatedPrefix),
	}
}

// Card is a PKCS#15 card that is open.
type Card struct {
	line     *desk.Line
	app      *app.Card
	access   key.Access
	identity card.Identity
	// asked is how often somebody was asked who takes time: what was read of the
	// card before may not be true any more.
	asked int
	// blank says that there was no structure when the card was read last.
	blank bool
}

func open(ctx context.Context, line *desk.Line, o card.Opening) (card.Card, error) {
	p, err := app.Open(ctx, line, tools(line))
	if err != nil {
		return nil, err
	}
	if !p.Known() && !o.Named {
		return nil, lacks() // whether it is one would take OpenSC to know
	}
	line.Note(p.Remember)
	line.Same(p.Same)
	c := &Card{line: line, app: p, access: o.Access, identity: card.Identity{Type: kind}}
	line.Stale(func() {
		c.asked++
		c.blank = false
		p.Forget()
	})
	return c, nil
}

func lacks() error {
	e := problem.New(problem.NotSupported, "this card has no PKCS#15 application that can be recognised without OpenSC").
		Advise(advice.Repeat(advice.Set(advice.App, name)))
	e.Cause = card.ErrLacks
	return e
}

// Identity is what reading the card told.
func (c *Card) Identity() card.Identity { return c.identity }

// Number reads the directory, which has the serial.
func (c *Card) Number(ctx context.Context) error {
	_, err := c.read(ctx)
	return err
}

// read reads the directory, nil where the card is not initialised, and notes what
// it tells of the card.
func (c *Card) read(ctx context.Context) (*app.Directory, error) {
	if c.blank {
		return nil, nil
	}
	d, err := c.app.Token(ctx)
	if problem.Is(err, problem.NotFound) {
		c.identity.State, c.blank = "not initialised", true
		c.identity.Serial = c.app.Chip()
		return nil, nil
	}
	if err != nil {
		return nil, key.Explain(err, "reading the card", "")
	}
	c.identity.Label, c.identity.Serial, c.identity.State = d.Label, d.Serial, ""
	if d.Incomplete {
		c.identity.State = "not completely initialised"
	}
	return d, nil
}

// holder is what a person calls the card.
func (c *Card) holder() string {
	return strings.TrimSpace("the " + kind + " " + c.identity.Serial)
}

// Key is the place with the ID that a reference names.
func (c *Card) Key(ctx context.Context, ref key.Reference) (key.Key, error) {
	id, err := hex.DecodeString(ref.ID)
	if err != nil {
		return nil, err
	}
	if _, err := c.app.PINs(ctx); err != nil {
		return nil, key.Explain(err, ref.String(), "")
	}
	return &place{card: c, ref: ref, id: id}, nil
}

// Keys are the private keys, and the certificates that have none.
func (c *Card) Keys(ctx context.Context) ([]key.Key, error) {
	d, err := c.read(ctx)
	if err != nil || d == nil {
		return nil, err
	}
	if d, err = c.app.Directory(ctx); err != nil {
		return nil, key.Explain(err, "reading the card", "")
	}
	var keys []key.Key
	add := func(id []byte) {
		keys = append(keys, &place{card: c, ref: referenceTo(id), id: id})
	}
	for _, k := range d.Keys {
		add(k.ID)
	}
	for _, certificate := range d.Certificates {
		if d.Key(certificate.ID) == nil {
			add(certificate.ID)
		}
	}
	return keys, nil
}

// Facts are none beside keys and PINs.
func (c *Card) Facts(context.Context) ([]card.Fact, error) { return nil, nil }
