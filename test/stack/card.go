package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/pcsc"
)

// YubicoReader is the number of a virtual reader that is there only if the daemon has
// more readers (scripts/lib/pcscd.sh).
const YubicoReader = 2

// ReaderName is how the PC/SC daemon calls a virtual reader.
func ReaderName(reader int) string {
	if reader >= YubicoReader {
		return fmt.Sprintf("Yubico PCD 00 %02d", reader-YubicoReader)
	}
	return fmt.Sprintf("Virtual PCD 00 %02d", reader)
}

// vpcdAddress is where the driver of a virtual reader waits for a card.
func vpcdAddress(reader int) string { return fmt.Sprintf("localhost:%d", 35963+reader) }

// PINs that the cards of the tests get.
const (
	UserPIN  = "246813"
	AdminPIN = "97531864"
)

// Card is a simulated card in a virtual reader.
type Card struct {
	desk    *Desk
	name    string
	reader  int
	address string
	pull    func()
}

// Card makes a simulated card, puts it into a virtual reader and waits
// until the PC/SC daemon sees it. From then on commands use that reader
// unless they name another one, for a machine may have readers of its own.
func (d *Desk) Card(name string, reader int, create ...string) *Card {
	d.tb.Helper()
	return d.card(name, reader, vpcdAddress(reader), create...)
}

// WiredCard is Card with a wire between card and reader.
func (d *Desk) WiredCard(name string, reader int, create ...string) (*Card, *Wire) {
	d.tb.Helper()
	wire := d.wire(reader)
	return d.card(name, reader, wire.Address, create...), wire
}

func (d *Desk) card(name string, reader int, address string, create ...string) *Card {
	d.tb.Helper()
	d.Run("cardctl", append([]string{"sim", "create", name}, create...)...)
	c := &Card{desk: d, name: name, reader: reader, address: address}
	c.Insert()
	d.tb.Cleanup(c.Pull) // the next test finds the reader empty
	d.Setenv("CARDCTL_READER", ReaderName(reader))
	d.Setenv("CARDCTL_PIN", UserPIN)
	d.Setenv("CARDCTL_ADMIN_PIN", AdminPIN)
	return c
}

// Insert puts the card into its reader, with options of sim attach.
func (c *Card) Insert(options ...string) {
	c.desk.tb.Helper()
	args := append([]string{"sim", "attach", c.name, "--address", c.address, "--trace", c.Trace()}, options...)
	c.pull = c.desk.Start(c.name+".log", "cardctl", args...)
	c.desk.Eventually(c.name+" is in "+ReaderName(c.reader), c.seen)
}

// Pull takes the card out, and returns when the PC/SC daemon has noticed. A reset that
// fails because the card is out makes the daemon report so before it notices: a card that
// is inserted then is never seen.
func (c *Card) Pull() {
	c.desk.tb.Helper()
	before := c.state()
	c.pull()
	c.desk.Eventually(c.name+" is out of "+ReaderName(c.reader), func() bool {
		now := c.state()
		return !now.CardPresent && (!before.CardPresent || now.Changes != before.Changes)
	})
}

// Trace is the file of every command that the card got.
func (c *Card) Trace() string { return c.desk.Path(c.name + ".trace") }

// Initialise gives the card its PINs.
func (c *Card) Initialise() {
	c.desk.tb.Helper()
	c.desk.Run("cardctl", "init", "--yes", "--reader", ReaderName(c.reader))
}

// seen reports whether the PC/SC daemon sees a card.
func (c *Card) seen() bool { return c.state().CardPresent }

// state asks the PC/SC daemon. OpenSC's tool would connect to the card, and wait for whoever
// holds it.
func (c *Card) state() pcsc.Reader {
	c.desk.tb.Helper()
	readers, err := pcsc.Open(context.Background(), pcsc.Options{})
	if err != nil {
		c.desk.tb.Fatal(err)
	}
	list, err := readers.Readers(context.Background())
	if err := errors.Join(err, readers.Close()); err != nil {
		c.desk.tb.Fatal(err)
	}
	for _, r := range list {
		if r.Name == ReaderName(c.reader) {
			return r
		}
	}
	return pcsc.Reader{}
}
