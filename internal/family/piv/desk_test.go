package piv

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/des"
	"encoding/hex"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// profiles are the four kinds of cards.
func profiles() []string {
	return []string{"piv-nist", "piv-yubikey-4", "piv-yubikey-5", "piv-yubikey-5.7"}
}

// table is a simulated card in a reader, and what is typed at it.
type table struct {
	t    *testing.T
	card *cardsim.Card
	// other is in the reader instead, once it is set, and nobody noticed.
	other iso7816.Connection
	// answer may change what the card says.
	answer func(cmd iso7816.Command, answer []byte) []byte
	// instead answers a command that the card does not get, where it is not nil.
	instead func(cmd iso7816.Command) []byte
	// cut takes the card out before a command.
	cut  func(cmd iso7816.Command) bool
	pins map[secret.Name]string
	// waiting is done while a person types; nil for one who takes no time.
	waiting func()
	allow   pin.Allow
	dir     string   // for files
	stayed  []string // what init did not delete
	asked   []secret.Name
	sent    []iso7816.Command
	// pulled is the number of the command, from 1, at which the card leaves the reader; it
	// has done it if lost. 0 is none.
	pulled int
	lost   bool
	// dropped is an instruction that the card answers with 9000 and does nothing for.
	dropped byte
}

func newTable(t *testing.T, profile string) *table {
	t.Helper()
	sim, err := cardsim.NewCard(cardsim.Options{Profile: profile, Applications: []string{"piv"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	return &table{t: t, card: sim, pins: map[secret.Name]string{secret.PIN: "123456", secret.PUK: "12345678"}}
}

// Connect and List are the simulated cards of a desk.
func (d *table) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	conn, err := d.card.Connect(ctx)
	return &tapped{conn, d}, err
}

func (d *table) List() ([]cardsim.Info, error) { return nil, nil }

// tapped is what the table sees of a connection.
type tapped struct {
	iso7816.Connection
	d *table
}

func (c *tapped) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	cmd, _, err := iso7816.ParseCommand(bytes.Clone(apdu))
	if err != nil {
		return nil, err
	}
	c.d.sent = append(c.d.sent, cmd)
	gone := c.d.pulled > 0 && len(c.d.sent) >= c.d.pulled
	if gone && (!c.d.lost || len(c.d.sent) > c.d.pulled) {
		return nil, iso7816.ErrCardRemoved
	}
	if c.d.dropped != 0 && cmd.INS == c.d.dropped {
		return []byte{0x90, 0x00}, nil
	}
	var to iso7816.Transmitter = c.Connection
	if c.d.other != nil {
		to = c.d.other
	}
	if c.d.cut != nil && c.d.cut(cmd) {
		return nil, iso7816.ErrCardRemoved
	}
	var answer []byte
	if c.d.instead != nil {
		answer = c.d.instead(cmd)
	}
	if answer == nil {
		answer, err = to.Transmit(ctx, apdu)
	}
	if gone {
		return nil, iso7816.ErrCardRemoved
	}
	if err == nil && c.d.answer != nil {
		answer = c.d.answer(cmd, answer)
	}
	return answer, err
}

func (d *table) ask(_ context.Context, r secret.Request) (*secret.Bytes, error) {
	d.asked = append(d.asked, r.Name)
	value, given := d.pins[r.Name]
	if !given {
		return nil, problem.New(problem.Usage, "no %s", r.Name)
	}
	if d.waiting != nil && r.Waiting != nil {
		if err := r.Waiting(); err != nil {
			return nil, err
		}
		d.waiting()
	}
	return secret.New([]byte(value)), nil
}

// on opens the card, works, and lets it go.
func (d *table) on(work func(context.Context, *onCard) error) error {
	d.t.Helper()
	ctx := d.t.Context()
	line, err := (&desk.Desk{Simulated: d}).OpenIn(ctx, desk.SimulatedPrefix+"card")
	if err != nil {
		d.t.Fatal(err)
	}
	access := key.Access{Policy: pin.New(line.Asker(d.ask), d.allow), Now: time.Now, Notify: func(string) {}}
	return line.Done(func() error {
		opened, err := open(ctx, line, card.Opening{App: name, Access: access})
		if err != nil {
			return err
		}
		return work(ctx, opened.(*onCard))
	}())
}

// looking is on, where nothing may fail.
func (d *table) looking(work func(context.Context, *onCard) error) {
	d.t.Helper()
	if err := d.on(work); err != nil {
		d.t.Fatal(err)
	}
}

// tool is another program at the card.
type tool struct {
	t *testing.T
	c iso7816.Connection
	// leaves says that it leaves what it verified.
	leaves bool
}

// another program works on the card, with its management key.
func (d *table) another(work func(*tool)) {
	d.t.Helper()
	c, err := d.card.Connect(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	o := &tool{t: d.t, c: c}
	o.send(0xA4, 4, 0, "A00000030800001000")
	block, _ := des.NewTripleDESCipher(bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3))
	algorithm := byte(0x03)
	answer, err := c.Transmit(d.t.Context(), unhex(d.t, "0087039B047C02810000"))
	if err != nil || len(answer) < 6 {
		block, _ = aes.NewCipher(bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3))
		algorithm = 0x0A
		answer = o.send(0x87, algorithm, 0x9B, "7C028100")
	}
	response := make([]byte, block.BlockSize())
	block.Encrypt(response, answer[4:4+block.BlockSize()])
	o.send(0x87, algorithm, 0x9B, hex.EncodeToString(iso7816.AppendTLV(nil, 0x7C, iso7816.AppendTLV(nil, 0x82, response))))
	work(o)
	if err := c.Close(!o.leaves); err != nil {
		d.t.Fatal(err)
	}
}

// send sends a command in as many parts as it takes; another answer than 9000 ends the
// test.
func (o *tool) send(ins, p1, p2 byte, data string) []byte {
	o.t.Helper()
	ch := iso7816.NewChannel(o.c, iso7816.Capabilities{Chaining: true})
	answer, err := ch.Send(o.t.Context(), iso7816.Command{INS: ins, P1: p1, P2: p2, Data: unhex(o.t, data), Ne: 256})
	if err != nil {
		o.t.Fatalf("%02X %02X %02X: %v", ins, p1, p2, err)
	}
	return answer
}

// put writes the content of a data object.
func (o *tool) put(object string, content []byte) {
	o.t.Helper()
	o.send(0xDB, 0x3F, 0xFF, "5C03"+object+hex.EncodeToString(iso7816.AppendTLV(nil, 0x53, content)))
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
