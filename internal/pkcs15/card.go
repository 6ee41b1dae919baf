// Package pkcs15 works on PKCS#15 cards (ISO/IEC 7816-15): it reads, creates,
// stores and deletes what is on them. Structures and keys are left to OpenSC's
// pkcs15-init, run as a child process, and its answers are checked against the
// card. An IsoApplet and a MyEID card are read and used directly, which saves
// the probing of every OpenSC run. Their certificates are also written
// directly, which keeps the old one until the new one is complete, and a MyEID
// card generates its keys directly. Other cards are reached through OpenSC's
// tools. A driver holds what differs between the three. What may be overwritten
// is left to the callers.
package pkcs15

import (
	"bytes"
	"context"
	"crypto"
	"errors"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// Line is how a card is reached: by commands of this program, or, while it is
// released, by other programs.
type Line interface {
	// Channel connects to the card, unless it is connected. After Release it is
	// another channel.
	Channel(ctx context.Context) (*iso7816.Channel, error)

	// Release lets the card go, without a verified PIN. Channel connects
	// again.
	Release() error

	// Reader is what PC/SC calls the reader; empty where no other program can
	// reach the card.
	Reader() string
}

// Card is a PKCS#15 card. It is not safe for concurrent use.
type Card struct {
	line   Line
	tools  Tools
	driver driver

	directory *Directory // nil where it has to be read
	public    map[string]crypto.PublicKey
	name      string
	verified  string // the ID of the PIN that is verified on the channel

	channel  *iso7816.Channel // on which the card was looked at
	identity *Identity        // nil where it was not let go yet
	serial   string           // that a program of OpenSC gives to the card; empty for none
	listed   *Identity        // as OpenSC's programs told it; nil where they did not
	changed  error            // that there is another card, once that was found

	version      Version
	versionKnown bool
}

// Open looks what kind of card it is. There may be no PKCS#15 structure on it
// yet.
func Open(ctx context.Context, line Line, tools Tools) (*Card, error) {
	c := &Card{line: line, tools: tools}
	var err error
	if c.channel, err = line.Channel(ctx); err == nil {
		err = c.recognise(ctx, c.channel)
	}
	if err != nil {
		return nil, c.explain(err, "reading the card")
	}
	return c, nil
}

// OpenSelected is Open on a card whose PKCS#15 application was selected last, and that has
// no IsoApplet. A MyEID card answers without being asked for either again.
func OpenSelected(ctx context.Context, line Line, tools Tools) (*Card, error) {
	ch, err := line.Channel(ctx)
	if err != nil {
		return nil, err
	}
	m := newCommands(ch)
	if err := m.about(ctx); err != nil {
		return Open(ctx, line, tools)
	}
	c := &Card{line: line, tools: tools, channel: ch, name: m.name(), identity: m.identity()}
	c.driver = newMyEID(c, m)
	return c, nil
}

// recognise finds the driver: each is asked for its application in turn.
func (c *Card) recognise(ctx context.Context, ch *iso7816.Channel) error {
	a, err := selectApplet(ctx, ch)
	if err == nil {
		c.driver, c.name = newIsoApplet(c, a), "IsoApplet"
		return nil
	}
	if iso7816.StatusOf(err) == 0 && !errors.Is(err, errMalformed) { // there are cards that select everything
		return err
	}
	m, err := selectMyEID(ctx, ch)
	if err == nil {
		c.driver, c.name, c.identity = newMyEID(c, m), m.name(), m.identity()
		return nil
	}
	c.driver = openSC{c}
	if iso7816.StatusOf(err) == 0 {
		return err
	}
	return nil
}

// Close lets the card go.
func (c *Card) Close() error {
	c.verified = ""
	return c.line.Release()
}

// Name is what the card is: IsoApplet, or what OpenSC calls it.
func (c *Card) Name() string { return c.name }

// Driver is OpenSC's name for the driver of the card, empty where it is not
// known.
func (c *Card) Driver() string { return c.driver.facts().driver }

// Known reports whether the card is of a kind that can be told without OpenSC.
func (c *Card) Known() bool { return c.driver.facts().known }

// OnePIN reports whether the card has a single PIN, which is its SO PIN at the
// same time, and a PUK that is set when the card is initialised.
func (c *Card) OnePIN() bool { return c.driver.facts().onePIN }

// Forget drops what was read of the card.
func (c *Card) Forget() { c.directory, c.public = nil, nil }

// Directory is what is on the card; a problem.NotFound where there is no
// PKCS#15 structure.
func (c *Card) Directory(ctx context.Context) (*Directory, error) { return c.read(ctx, everything) }

// Key is the private key with this ID, nil where there is none.
func (c *Card) Key(ctx context.Context, id []byte) (*PrivateKey, error) {
	d, err := c.read(ctx, partKeys)
	if err != nil {
		return nil, err
	}
	return d.Key(id), nil
}

// PINs are those of the card, in a Directory that may have nothing else.
func (c *Card) PINs(ctx context.Context) (*Directory, error) { return c.read(ctx, 0) }

// read is the directory with the parts that are wanted.
func (c *Card) read(ctx context.Context, wanted part) (*Directory, error) {
	if c.directory != nil && c.directory.has&wanted == wanted {
		return c.directory, nil
	}
	d, err := c.driver.directory(ctx, c.directory, wanted)
	if errors.Is(err, errNoStructure) {
		p := problem.New(problem.NotFound, "the card is not initialised").
			Because("The card has no PKCS#15 structure yet.").
			Advise(advice.Do(advice.Initialise, advice.Set(advice.App, "pkcs15")))
		p.Cause = err
		return nil, p
	}
	if err != nil {
		return nil, c.explain(err, "reading the card")
	}
	c.directory = d
	return d, nil
}

// Called is what the structure of a card of a known kind is called: label and serial,
// empty without a structure.
func (c *Card) Called(ctx context.Context) (Identity, error) {
	var d Directory
	err := c.explain(c.driver.tokenInfo(ctx, &d), "reading the card's name")
	return Identity{Label: d.Label, Serial: d.Serial}, err
}

// Token is a Directory with PINs, label and serial.
func (c *Card) Token(ctx context.Context) (*Directory, error) {
	d, err := c.PINs(ctx)
	if err != nil || d.named {
		return d, err
	}
	return d, c.explain(c.driver.tokenInfo(ctx, d), "reading the card's name")
}

// PublicKey is the public half of a key: of its public key object, or else of
// its certificate. It is nil where the card has neither.
func (c *Card) PublicKey(ctx context.Context, id []byte) (crypto.PublicKey, error) {
	if known := c.public[string(id)]; known != nil {
		return known, nil
	}
	d, err := c.read(ctx, partPublicKeys)
	if err != nil {
		return nil, err
	}
	public, err := c.readPublic(ctx, d, id)
	if err != nil {
		return nil, c.explain(err, "reading the public key")
	}
	if public != nil {
		if c.public == nil {
			c.public = map[string]crypto.PublicKey{}
		}
		c.public[string(id)] = public
	}
	return public, nil
}

func (c *Card) readPublic(ctx context.Context, d *Directory, id []byte) (crypto.PublicKey, error) {
	if object := d.PublicKey(id); object != nil {
		raw, err := c.content(ctx, object.location, "--read-public-key", id)
		if err != nil {
			return nil, err
		}
		if raw != nil {
			return parsePublicKey(raw)
		}
	}
	raw, err := c.Certificate(ctx, id)
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return c.driver.publicInKey(ctx, id)
	}
	return publicOfCertificate(raw), nil
}

// Certificate is the content of the certificate with this ID, nil where there
// is none.
func (c *Card) Certificate(ctx context.Context, id []byte) ([]byte, error) {
	d, err := c.read(ctx, partCertificates)
	if err != nil {
		return nil, err
	}
	object := d.Certificate(id)
	if object == nil {
		return nil, nil
	}
	raw, err := c.content(ctx, object.location, "--read-certificate", id)
	if err != nil || raw == nil {
		return nil, c.explain(err, "reading the certificate")
	}
	return withoutPadding(raw), nil
}

// content reads what an object of the directory stands for; nil where its file has
// gone, as pkcs15-init leaves it where it is interrupted. option is that of
// pkcs15-tool.
func (c *Card) content(ctx context.Context, at location, option string, id []byte) ([]byte, error) {
	if at.value != nil {
		return at.value, nil
	}
	return c.driver.content(ctx, at, option, id)
}

// withoutPadding cuts what follows the outermost data object.
func withoutPadding(raw []byte) []byte {
	object, rest, err := iso7816.ParseTLV(raw)
	if err != nil || len(object.Value) == 0 || len(bytes.Trim(rest, "\x00\xFF")) > 0 {
		return raw
	}
	return raw[:len(raw)-len(rest)]
}
