package cardsim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Options describe a card that is made.
type Options struct {
	// Applications on the card, in the order of selection; none means
	// that of the profile alone, openpgp for most.
	Applications []string

	// Profile is one of Profiles; empty means openpgp-3.4.
	Profile string

	// Serial is the card's number, 8 hex digits; empty means a random one.
	Serial string

	// SecureChannel is the protocol of a Java card and its parameter i in
	// hex: one of SecureChannels, or with SCP03 also one with "-aes192" or
	// "-aes256" behind it, which choose the length of the test keys. Empty
	// means scp02-15.
	SecureChannel string

	// CardKeys are the keys of a Java card: one for all, or those for
	// encryption, MAC and key encryption, of 16 bytes, with SCP03 also 24 or
	// 32. Key version 01. None means the well-known test keys, 40 to 4F, as
	// initial keys, version FF. The card keeps them in its state.
	CardKeys [][]byte

	// Memory of a Java card for what is loaded and installed, in bytes; 0
	// means 131072.
	Memory int

	// Latency is waited before each answer.
	Latency time.Duration

	// Rand gives serial number, challenges and salts; nil means
	// crypto/rand. Keys always come from crypto/rand.
	Rand io.Reader
}

// Card is one simulated card. Its methods may be called from several
// goroutines; the card works on one command at a time.
type Card struct {
	mu       sync.Mutex
	name     string
	settings settings
	profile  *profile
	random   io.Reader
	medium   medium
	javaCard javaCardOptions // while it is manufactured

	apps    []application
	current application // nil where none is selected
	link    link

	powered    bool
	removals   int         // how often it lost its power
	connection *connection // who holds the card in process
	attached   bool
	closed     bool
	noticed    time.Duration // how long a reader may take to notice the card

	persisted []byte // what survives power loss
	stale     bool   // a write failed: memory is ahead of persisted

	faults  faultPlan
	traffic Traffic
	tap     iso7816.Transmitter // nil where nobody listens
}

// AttestationCA are the certificates, in DER, of the makers that certified what the
// applications attest their keys with; none where no application does.
func (c *Card) AttestationCA() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list [][]byte
	for _, app := range c.apps {
		if of, ok := app.(attesting); ok {
			list = append(list, of.attestationCA()...)
		}
	}
	return list
}

// Traffic counts what went over the interface of a card since it was opened,
// every GET RESPONSE and every link of a chain for itself.
type Traffic struct {
	APDUs    int // command APDUs
	Sent     int // bytes of them
	Received int // bytes of the answers, with status words
	Writes   int // changes of the state that were begun
}

// medium is where the state of a card is kept.
type medium interface {
	write(state []byte) error
	// suspend lets other processes have the card until resume, which returns
	// the state in which they left it, or nil if they could not have it.
	suspend()
	resume(name string) ([]byte, error)
	close() error
}

// memory keeps nothing beyond the life of the Card, which holds the state.
type memory struct{}

func (memory) write([]byte) error            { return nil }
func (memory) suspend()                      {}
func (memory) resume(string) ([]byte, error) { return nil, nil }
func (memory) close() error                  { return nil }

// NewCard returns a card in the state of the factory that is kept in memory
// only.
func NewCard(o Options, faults ...Fault) (*Card, error) {
	state, err := manufacture(o)
	if err != nil {
		return nil, err
	}
	return newCard("memory", state, memory{}, o.Rand, faults)
}

// newCard returns the card that state describes, without power.
func newCard(name string, state []byte, m medium, random io.Reader, faults []Fault) (*Card, error) {
	if random == nil {
		random = rand.Reader
	}
	c := &Card{name: name, medium: m, random: random, persisted: state, faults: newFaultPlan(faults), noticed: firstMessage}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// manufacture returns the state of a card as it leaves the factory.
func manufacture(o Options) ([]byte, error) {
	random := o.Rand
	if random == nil {
		random = rand.Reader
	}
	c := &Card{random: random, settings: settings{
		Profile: o.Profile,
		Serial:  strings.ToUpper(o.Serial),
		Latency: jsonDuration(o.Latency),
	}}
	if c.settings.Profile == "" {
		c.settings.Profile = DefaultProfile
	}
	if o.Serial == "" {
		serial := make([]byte, 4)
		if _, err := io.ReadFull(random, serial); err != nil {
			return nil, fmt.Errorf("draw a serial number: %w", err)
		}
		c.settings.Serial = fmt.Sprintf("%X", serial)
	}
	names := o.Applications
	if len(names) == 0 {
		p, err := profileNamed(c.settings.Profile)
		if err != nil {
			return nil, err
		}
		names = []string{cmp.Or(p.application, openpgpName)}
	}
	c.javaCard = javaCardOptions{secureChannel: o.SecureChannel, keys: o.CardKeys, memory: o.Memory}
	if !slices.Contains(names, gpName) && !c.javaCard.none() {
		return nil, fmt.Errorf("a secure channel, card keys and memory are for the application %q", gpName)
	}
	if err := c.build(names); err != nil {
		return nil, err
	}
	for _, app := range c.apps {
		if err := app.factory(); err != nil {
			return nil, fmt.Errorf("application %s: %w", app.name(), err)
		}
	}
	return c.snapshot()
}

// build makes the applications, without a state.
func (c *Card) build(names []string) error {
	p, err := profileNamed(c.settings.Profile)
	if err != nil {
		return err
	}
	serial, err := hex.DecodeString(c.settings.Serial)
	if err != nil || len(serial) != 4 {
		return fmt.Errorf("serial number %q: 8 hex digits are wanted", c.settings.Serial)
	}
	env := environment{profile: p, serial: [4]byte(serial), random: c.random, javaCard: c.javaCard, commit: c.commit}
	apps := make([]application, 0, len(names))
	for _, name := range names {
		for _, other := range apps {
			if other.name() == name {
				return fmt.Errorf("application %q is named twice", name)
			}
		}
		app, err := newApplication(name, env)
		if err != nil {
			return err
		}
		apps = append(apps, app)
	}
	c.profile, c.apps = p, apps
	return nil
}

// Traffic returns the counters.
func (c *Card) Traffic() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.traffic
}

// ATR is the answer to reset the card gives now, at most 33 bytes.
func (c *Card) ATR() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.atr()
}

// Serial is the number of the card, 8 hex digits.
func (c *Card) Serial() string { return c.settings.Serial }

// Connect holds the card and powers it up, or finds it as it was left where it
// has power already. A card that was removed by a fault is put back. It is a
// *BusyError where somebody holds the card.
func (c *Card) Connect(ctx context.Context) (iso7816.Connection, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.take(); err != nil {
		return nil, err
	}
	if !c.powered {
		if err := c.powerOn(); err != nil {
			return nil, err
		}
	}
	c.connection = &connection{card: c, atr: c.atr(), removals: c.removals}
	return c.connection, nil
}

// take makes sure that nobody else uses the card, in this process or another.
func (c *Card) take() error {
	if err := c.free(); err != nil {
		return err
	}
	state, err := c.medium.resume(c.name)
	switch {
	case errors.Is(err, errReplaced):
		c.powerOff()
		return fmt.Errorf("simulated card %s: %w: %w", c.name, iso7816.ErrCardRemoved, err)
	case err != nil:
		return err
	case state == nil || bytes.Equal(state, c.persisted):
		return nil
	}
	return c.reload(state)
}

// reload goes on with the state in which another process left the card, which
// was reset by that. A card with another number is another card.
func (c *Card) reload(state []byte) error {
	before := c.settings
	c.persisted = state
	if err := c.load(); err != nil {
		c.powerOff()
		return err
	}
	if c.settings.Serial != before.Serial || c.settings.Profile != before.Profile {
		c.powerOff()
		return fmt.Errorf("simulated card %s: %w: it is %s now", c.name, iso7816.ErrCardRemoved, c.settings.Serial)
	}
	c.reset()
	return nil
}

// free reports who uses the card, if anybody does.
func (c *Card) free() error {
	switch {
	case c.closed:
		return errClosed
	case c.connection != nil || c.attached:
		return busyHere(c.name)
	}
	return nil
}

var errClosed = errors.New("the simulated card is closed")

// Close takes the power from the card and gives it free for others.
func (c *Card) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.powerOff()
	c.closed = true
	return c.medium.close()
}

// powerOn starts the card from what survived the last power loss.
func (c *Card) powerOn() error {
	c.powered = true
	if err := c.load(); err != nil {
		c.powered = false
		return err
	}
	c.reset()
	return nil
}

// powerOff ends every connection: what was not committed is lost.
func (c *Card) powerOff() {
	c.reset()
	c.powered = false
	c.removals++
	c.connection = nil
}

// reset is a warm reset.
func (c *Card) reset() {
	c.deselect()
	c.current = nil
	c.link = link{}
	for _, app := range c.apps {
		if carrier, ok := app.(carrier); ok {
			c.current = carrier.implicit()
			c.current.selected(0)
		}
	}
}

func (c *Card) deselect() {
	for _, app := range c.selectable() {
		app.deselect()
	}
}

// selectable are the applications on the card, and what they carry.
func (c *Card) selectable() []application {
	list := slices.Clone(c.apps)
	for _, app := range c.apps {
		if carrier, ok := app.(carrier); ok {
			list = append(list, carrier.carried()...)
		}
		if with, ok := app.(accompanied); ok && with.companion() != nil {
			list = append(list, with.companion())
		}
	}
	return list
}

// transmit carries one command APDU out, faults included.
func (c *Card) transmit(apdu []byte) ([]byte, error) {
	if !c.powered {
		return nil, fmt.Errorf("simulated card %s: %w", c.name, iso7816.ErrCardRemoved)
	}
	c.traffic.APDUs++
	c.traffic.Sent += len(apdu)
	answer := c.faults.answer(c.traffic.APDUs, apdu)
	if c.faults.removedBefore(c.traffic.APDUs) {
		c.powerOff()
	} else if answer == nil {
		answer = c.faults.said(c.traffic.APDUs, c.execute(apdu))
		c.recover()
		if c.faults.removedAfter(c.traffic.APDUs) {
			c.powerOff()
		}
	}
	if !c.powered {
		return nil, fmt.Errorf("simulated card %s: %w", c.name, iso7816.ErrCardRemoved)
	}
	c.traffic.Received += len(answer)
	return answer, nil
}

// selectApplication is SELECT by DF name (ISO/IEC 7816-4, 11.2.2): the first,
// last, next or previous application whose AID begins with the name.
func (c *Card) selectApplication(cmd iso7816.Command) ([]byte, iso7816.Status) {
	var app application
	if cmd.P1 == 0x04 && cmd.P2&0xF0 == 0 {
		app = c.occurrence(cmd.Data, cmd.P2&0x03)
	}
	if named, ok := app.(choosy); ok && !named.takesName(len(cmd.Data)) {
		app = nil
	}
	if app == nil {
		return c.selectFile(cmd)
	}
	if again, ok := app.(choosy); !ok || c.current != app || !again.keepsStatus() {
		c.deselect()
	}
	c.current = app
	data, status := app.selected(cmd.P2)
	if cmd.Ne == 0 && !c.impliesLe() && !c.profile.t0 {
		data = nil // no Le, no control information, and nothing left over
	}
	return data, status
}

func (c *Card) impliesLe() bool {
	app, ok := c.current.(javaCard)
	return ok && app.impliesLe()
}

// selectFile is SELECT of anything that is no application.
func (c *Card) selectFile(cmd iso7816.Command) ([]byte, iso7816.Status) {
	if files, ok := c.current.(fileSystem); ok {
		return files.selectFile(cmd)
	}
	switch {
	case c.profile.selectsAny && cmd.P1 == 0x04:
		return nil, iso7816.StatusOK
	case cmd.P1 == 0x00: // a card without MF
	case cmd.P1 != 0x04 || cmd.P2&0xF0 != 0:
		return nil, iso7816.StatusWrongP1P2
	}
	return nil, iso7816.StatusFileNotFound
}

// issuer is the issuer security domain, which SELECT without a name selects
// (GlobalPlatform Card Specification 2.3.1, 11.9.2); nil where there is none.
func (c *Card) issuer() application {
	for _, app := range c.apps {
		if _, ok := app.(carrier); ok {
			return app
		}
	}
	return nil
}

// occurrence finds an application by the beginning of its AID.
func (c *Card) occurrence(prefix []byte, which byte) application {
	const first, last, next, previous = 0, 1, 2, 3
	if len(prefix) == 0 {
		return c.issuer()
	}
	var matching []application
	position := -1
	for _, app := range c.selectable() {
		if bytes.HasPrefix(app.aid(), prefix) {
			if app == c.current {
				position = len(matching)
			}
			matching = append(matching, app)
		}
	}
	if len(matching) == 0 {
		return nil
	}
	index := 0
	switch which {
	case first:
	case last:
		index = len(matching) - 1
	case next:
		index = position + 1
	case previous:
		index = position - 1
		if position < 0 {
			index = len(matching) - 1
		}
	}
	if index < 0 || index >= len(matching) {
		return nil
	}
	return matching[index]
}
