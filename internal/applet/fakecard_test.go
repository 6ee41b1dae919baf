package applet

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/des"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// fakeCard is a small Java card for these tests: SCP02 i=15, a registry, and
// faults on purpose. It checks cryptograms, and does not look at C-MACs, which
// is package gp's tests' business.
type fakeCard struct {
	t        *testing.T
	keys     [3][]byte
	version  byte
	serial   byte // of the CPLC; 0 for a card without
	memory   int  // bytes free
	boasts   int  // of so many bytes more
	files    []fakeFile
	apps     []fakeApp
	announce bool // takes extended length
	silent   bool // does not say what it speaks when it is selected
	alone    bool // deletes a package only without what belongs to it
	imported bool // has packages that others import
	careless bool // finds out late that a package is there already
	twin     byte // the serial in the key diversification data, 0 for its own
	number   byte // of the card image number; 0 for a card without
	cutOff   int  // bytes at the end of a list that it leaves out
	details  int  // the version of Java Card that it says it has
	locked   bool // CARD_LOCKED
	state    byte // of the card
	longest  int  // of the command data it takes, 0 for any
	asleep   bool // makes no application selectable

	// pulled is how many commands it answers before it is pulled; -1 never.
	pulled int
	// refuse answers these instructions with a status word.
	refuse map[byte]uint16

	sequence byte
	host     []byte
	open     bool
	loading  *fakeFile
	data     []byte
	count    int
	log      []string
	failed   int // authentications
}

type fakeFile struct {
	aid  []byte
	size int
}

type fakeApp struct {
	aid, file  []byte
	privileges []byte
	domain     []byte // to which it belongs; nil for a card that does not tell
}

func newFakeCard(t *testing.T) *fakeCard {
	key := gp.DefaultKeySet().Text().Reveal()[:32]
	k := unhex(t, string(key))
	return &fakeCard{t: t, keys: [3][]byte{k, k, k}, version: 0xFF, serial: 1, memory: 50000, pulled: -1, state: 0x01, refuse: map[byte]uint16{}}
}

func (c *fakeCard) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	if c.pulled == 0 {
		return nil, iso7816.ErrCardRemoved
	}
	c.pulled--
	c.count++
	cmd, extended, err := iso7816.ParseCommand(apdu)
	if err != nil || extended && !c.announce || c.longest > 0 && len(cmd.Data) > c.longest {
		return []byte{0x67, 0x00}, nil
	}
	c.log = append(c.log, fmt.Sprintf("%02X%02X", cmd.INS, cmd.P1))
	data, status := c.process(cmd)
	return append(bytes.Clone(data), byte(status>>8), byte(status)), nil
}

func (c *fakeCard) process(cmd iso7816.Command) ([]byte, uint16) {
	if status, ok := c.refuse[cmd.INS]; ok {
		return nil, status
	}
	switch cmd.INS {
	case 0xA4:
		c.open = false
		oid := unhex(c.t, "73 0D 64 0B 06 09 2A864886FC6B040215")
		fci := iso7816.AppendTLV(nil, 0x84, unhex(c.t, "A000000151000000"))
		if c.silent {
			oid = nil
		}
		answer := iso7816.AppendTLV(nil, 0x6F, iso7816.AppendTLV(fci, 0xA5, oid))
		if c.locked {
			return answer, 0x6283
		}
		return answer, 0x9000
	case 0xCA:
		return c.get(iso7816.Tag(cmd.P1)<<8 | iso7816.Tag(cmd.P2))
	case 0x50:
		return c.initialize(cmd)
	case 0x82:
		want := c.cryptogram(append(c.challenge(), c.host...))
		if c.open = bytes.Equal(cmd.Data[:8], want); !c.open {
			c.failed++
			return nil, 0x6300
		}
		return nil, 0x9000
	}
	if !c.open || cmd.CLA != 0x84 || len(cmd.Data) < 8 {
		return nil, 0x6982
	}
	cmd.Data = cmd.Data[:len(cmd.Data)-8]
	if c.locked && cmd.INS != 0xF2 && cmd.INS != 0xF0 {
		return nil, 0x6985
	}
	switch cmd.INS {
	case 0xF2:
		return c.status(cmd)
	case 0xE6:
		return []byte{0}, c.install(cmd)
	case 0xE8:
		return []byte{0}, c.load(cmd)
	case 0xE4:
		return []byte{0}, c.remove(cmd)
	case 0xD8:
		return c.putKey(cmd)
	case 0xF0:
		c.state = cmd.P2
		return nil, 0x9000
	}
	return nil, 0x6D00
}

func (c *fakeCard) get(tag iso7816.Tag) ([]byte, uint16) {
	switch {
	case tag == 0x9F7F && c.serial != 0:
		return iso7816.AppendTLV(nil, tag, bytes.Repeat([]byte{c.serial}, 42)), 0x9000
	case tag == 0xFF21:
		told := c.memory + c.boasts
		return iso7816.AppendTLV(nil, tag, []byte{0x82, 0x03, byte(told >> 16), byte(told >> 8), byte(told)}), 0x9000
	case tag == 0x45 && c.number != 0:
		return []byte{0x45, 0x02, c.number, 0x01}, 0x9000
	case tag == 0x66 && c.details != 0:
		return c.cardData(), 0x9000
	case tag == 0xE0:
		return []byte{0xE0, 0x06, 0xC0, 0x04, 0x01, c.version, 0x80, 0x10}, 0x9000
	}
	return nil, 0x6A88
}

// cardData says what the card speaks, and which Java Card it has.
func (c *fakeCard) cardData() []byte {
	data := iso7816.AppendTLV(nil, 0x64, unhex(c.t, "06 09 2A864886FC6B040215"))
	data = iso7816.AppendTLV(data, 0x66, append(unhex(c.t, "06 0A 2B060104012A026E01"), byte(c.details)))
	return iso7816.AppendTLV(nil, 0x66, iso7816.AppendTLV(nil, 0x73, data))
}

func (c *fakeCard) challenge() []byte { return []byte{0, c.sequence, 1, 2, 3, 4, 5, 6} }

func triple(key []byte) cipher.Block {
	b, _ := des.NewTripleDESCipher(append(bytes.Clone(key), key[:8]...))
	return b
}

func (c *fakeCard) session(key []byte, constant byte) []byte {
	out := make([]byte, 16)
	out[0], out[1], out[3] = 1, constant, c.sequence
	cipher.NewCBCEncrypter(triple(key), make([]byte, 8)).CryptBlocks(out, out)
	return out
}

func (c *fakeCard) cryptogram(both []byte) []byte {
	padded := append(bytes.Clone(both), 0x80, 0, 0, 0, 0, 0, 0, 0)
	cipher.NewCBCEncrypter(triple(c.session(c.keys[0], 0x82)), make([]byte, 8)).CryptBlocks(padded, padded)
	return padded[len(padded)-8:]
}

func (c *fakeCard) initialize(cmd iso7816.Command) ([]byte, uint16) {
	if cmd.P1 != 0 && cmd.P1 != c.version {
		return nil, 0x6A88
	}
	c.open, c.host = false, bytes.Clone(cmd.Data)
	c.sequence++
	diversification := c.serial
	if c.twin != 0 {
		diversification = c.twin
	}
	answer := append(bytes.Repeat([]byte{diversification}, 10), c.version, 2)
	answer = append(answer, c.challenge()...)
	return append(answer, c.cryptogram(append(bytes.Clone(c.host), c.challenge()...))...), 0x9000
}

func (c *fakeCard) status(cmd iso7816.Command) ([]byte, uint16) {
	filter := cmd.Data[2:]
	var list []byte
	add := func(aid []byte, state byte, more ...byte) {
		if bytes.HasPrefix(aid, filter) {
			entry := iso7816.AppendTLV(nil, 0x4F, aid)
			entry = append(entry, 0x9F, 0x70, 0x01, state)
			list = iso7816.AppendTLV(list, 0xE3, append(entry, more...))
		}
	}
	switch cmd.P1 {
	case 0x80:
		add(unhex(c.t, "A000000151000000"), c.state, 0xC5, 0x03, 0x9E, 0xFE, 0x80)
	case 0x40:
		for _, a := range c.apps {
			more := iso7816.AppendTLV(nil, 0xC5, append(a.privileges, make([]byte, 3-len(a.privileges))...))
			if a.domain != nil {
				more = iso7816.AppendTLV(more, 0xCC, a.domain)
			}
			state := byte(0x07) // 11.1.1: SELECTABLE
			if c.asleep {
				state = 0x03 // INSTALLED
			}
			add(a.aid, state, iso7816.AppendTLV(more, 0xC4, a.file)...)
		}
	default:
		for _, f := range c.files {
			add(f.aid, 0x01, 0xCE, 0x02, 0x01, 0x00)
		}
	}
	if list == nil {
		return nil, 0x6A88
	}
	if c.cutOff > 0 && len(filter) == 0 {
		list = list[:max(0, len(list)-c.cutOff)]
	}
	return list, 0x9000
}

// fieldsOf reads fields with a length byte before each.
func fieldsOf(data []byte) (list [][]byte) {
	for len(data) > 0 && int(data[0]) < len(data) {
		list = append(list, data[1:1+data[0]])
		data = data[1+data[0]:]
	}
	return list
}

func (c *fakeCard) install(cmd iso7816.Command) uint16 {
	fields := fieldsOf(cmd.Data)
	if cmd.P1 == 0x02 {
		if c.file(fields[0]) >= 0 && !c.careless {
			return 0x6985
		}
		c.loading, c.data = &fakeFile{aid: bytes.Clone(fields[0])}, nil
		return 0x9000
	}
	if c.file(fields[0]) < 0 {
		return 0x6A88
	}
	if c.app(fields[2]) >= 0 {
		return 0x6985
	}
	c.apps = append(c.apps, fakeApp{aid: bytes.Clone(fields[2]), file: bytes.Clone(fields[0])})
	return 0x9000
}

func (c *fakeCard) load(cmd iso7816.Command) uint16 {
	if c.loading == nil {
		return 0x6985
	}
	c.data = append(c.data, cmd.Data...)
	if len(c.data) > c.memory {
		c.loading = nil
		return 0x6A84
	}
	if cmd.P1 == 0x80 {
		object, _, err := iso7816.ParseTLV(c.data)
		if err != nil {
			return 0x6A80
		}
		if _, err := Parse(object.Value); err != nil {
			return 0x6A80
		}
		if c.file(c.loading.aid) >= 0 {
			return 0x6985
		}
		c.loading.size = len(object.Value)
		c.memory -= c.loading.size
		c.files, c.loading = append(c.files, *c.loading), nil
	}
	return 0x9000
}

func (c *fakeCard) file(aid []byte) int {
	for i := range c.files {
		if bytes.Equal(c.files[i].aid, aid) {
			return i
		}
	}
	return -1
}

func (c *fakeCard) app(aid []byte) int {
	for i := range c.apps {
		if bytes.Equal(c.apps[i].aid, aid) {
			return i
		}
	}
	return -1
}

func (c *fakeCard) remove(cmd iso7816.Command) uint16 {
	aid := cmd.Data[2:]
	if i := c.app(aid); i >= 0 {
		c.apps = append(c.apps[:i:i], c.apps[i+1:]...)
		return 0x9000
	}
	i := c.file(aid)
	if i < 0 {
		return 0x6A88
	}
	var others []fakeApp
	for _, a := range c.apps {
		switch {
		case !bytes.Equal(a.file, aid):
			others = append(others, a)
		case c.alone && cmd.P2&0x80 != 0:
			return 0x6A86
		case cmd.P2&0x80 == 0:
			return 0x6985
		}
	}
	if c.imported {
		return 0x6985
	}
	c.apps = others
	c.memory += c.files[i].size
	c.files = append(c.files[:i:i], c.files[i+1:]...)
	return 0x9000
}

func (c *fakeCard) putKey(cmd iso7816.Command) ([]byte, uint16) {
	dek := triple(c.session(c.keys[2], 0x81))
	answer, rest := []byte{cmd.Data[0]}, cmd.Data[1:]
	var fresh [3][]byte
	for i := range fresh {
		key := make([]byte, 16)
		dek.Decrypt(key, rest[2:10])
		dek.Decrypt(key[8:], rest[10:18])
		value := make([]byte, 8)
		triple(key).Encrypt(value, value)
		if !bytes.Equal(value[:3], rest[19:22]) {
			return nil, 0x9485
		}
		fresh[i], answer, rest = key, append(answer, value[:3]...), rest[22:]
	}
	c.keys, c.version = fresh, cmd.Data[0]
	return answer, 0x9000
}

// slot is a reader with a card that can be another one, or taken out.
type slot struct {
	card  iso7816.Transmitter
	reset func()
	long  bool // the card announces extended length
	// gone says that the card was taken out since, whatever is there now.
	gone bool
}

func (r *slot) List() ([]cardsim.Info, error) { return nil, nil }

func (r *slot) Connect(context.Context, string) (iso7816.Connection, error) {
	return &connection{slot: r}, nil
}

// connection is one to the card in a reader.
type connection struct {
	*slot
	released bool
}

func (c *connection) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if c.released {
		return nil, iso7816.ErrReleased
	}
	return c.card.Transmit(ctx, apdu)
}

func (c *connection) ATR() []byte {
	functions := byte(0x00)
	if c.long {
		functions = 0x40
	}
	return []byte{0x3B, 0x05, 0x80, 0x73, 0x00, 0x00, functions}
}

func (c *connection) Release(reset bool) error {
	c.released = true
	return c.Close(reset)
}

func (c *connection) Resume(context.Context) error {
	if c.gone {
		return iso7816.ErrCardRemoved
	}
	c.released = false
	return nil
}

func (c *connection) Close(reset bool) error {
	if reset {
		c.reset()
	}
	return nil
}

// reach is how a person with keys reaches the card in a reader.
type reach struct {
	*slot
	desk   *desk.Desk
	person desk.Access
	domain Domain
}

// access reaches the card with keys as a person would type them.
func (c *fakeCard) access(keys string, state string) reach {
	r := &slot{card: c, long: c.announce, reset: func() { c.open, c.loading = false, nil }}
	r.reset()
	return reach{
		slot: r,
		desk: &desk.Desk{
			Simulated: r, Meant: desk.Selection{Reader: "sim:desk"}, Detail: func(string, ...any) {},
			StateDir: func() (string, error) { return state, nil },
		},
		person: desk.Access{
			Now:     time.Now,
			Confirm: func(context.Context, desk.Question) error { return nil },
			Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
				if r.Name != secret.CardKeys && r.Name != secret.NewCardKeys {
					return nil, errors.New("asked for " + string(r.Name))
				}
				return secret.New([]byte(keys)), nil
			},
		},
	}
}

// confirmed has another one say yes.
func (r reach) confirmed(by desk.Confirm) reach {
	r.person.Confirm = by
	return r
}

// withTestKeys opens the card with the well-known test keys.
func (r reach) withTestKeys() reach {
	r.domain.DefaultKeys = true
	return r
}

// insisting tries keys although some failed.
func (r reach) insisting() reach {
	r.domain.RetryKeys = true
	return r
}

func (r reach) list(t *testing.T) (*Listing, error) {
	return List(t.Context(), r.desk, r.person, r.domain)
}

func (r reach) install(t *testing.T, o InstallOptions) (*Plan, error) {
	o.Domain = r.domain
	return Install(t.Context(), r.desk, r.person, o)
}

func (r reach) delete(t *testing.T, o DeleteOptions) (*Deletion, error) {
	o.Domain = r.domain
	return Delete(t.Context(), r.desk, r.person, o)
}

func (r reach) setKeys(t *testing.T, o SetKeysOptions) (*KeyReport, error) {
	o.Domain = r.domain
	return SetKeys(t.Context(), r.desk, r.person, o)
}

func (r reach) runScript(t *testing.T, o ScriptOptions) error {
	_, err := RunScript(t.Context(), r.desk, r.person, o)
	return err
}

const defaultKey = "404142434445464748494A4B4C4D4E4F"
