package javacard

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// The MUSCLE applet (Cryptographic Card Edge Definition for Java Enabled
// Smartcards 1.2.1) is what OpenSC's HOWTO for blank Java cards installs. It
// takes no other command before its set-up, and its set-up only once.
const (
	classMuscle     = 0xB0
	insMuscleSetup  = 0x2A
	insMuscleStatus = 0x3C

	// musclePIN is what the applet comes with, and what its set-up is
	// allowed by.
	musclePIN = "Muscle00"

	// What it answers.
	muscleWrongPIN    iso7816.Status = 0x9C02
	muscleUnsupported iso7816.Status = 0x9C05 // to everything but the set-up, before it
	muscleBlocked     iso7816.Status = 0x9C0C

	// OpenSC takes PINs and unblock codes of 4 to 8 digits on this card.
	minMusclePIN, maxMusclePIN = 4, 8
)

// musclePINs are the PINs of the set-up in its order, with their tries. PIN 0
// is the security officer's, PIN 1 the user's.
var musclePINs = [...]struct {
	name                secret.Name
	tries, unblockTries byte
}{
	{secret.SOPIN, 4, 1},
	{secret.PIN, 5, 2},
}

// What follows the PINs: the HOWTO's memory sizes and access conditions.
const muscleTail = "\x00\x00" + // memory for secrets: none
	"\x17\x70" + // memory for objects: 6000 bytes
	"\x00" + // everybody may create objects
	"\x02\x01" // PIN 1 creates keys, PIN 0 creates PINs

func muscleAID() []byte { return []byte{0xA0, 0x00, 0x00, 0x00, 0x01, 0x01} }

// muscleCard is a MUSCLE applet on a Java card.
type muscleCard struct {
	keyless
	line *desk.Line
	// serial is that of the chip; known says that it was read.
	serial string
	known  bool
}

func openMuscle(ctx context.Context, line *desk.Line, _ card.Opening) (card.Card, error) {
	ch, err := line.Channel(ctx)
	if err != nil {
		return nil, err
	}
	if err := selectMuscle(ctx, ch); err != nil {
		return nil, err
	}
	identity := card.Identity{
		Type:         "MUSCLE card",
		Applications: []card.Application{{Name: muscleApp, AID: fmt.Sprintf("%X", muscleAID())}},
	}
	c := &muscleCard{keyless: keyless{identity}, line: line}
	line.Note(c.note)
	line.Same(c.same)
	return c, nil
}

func selectMuscle(ctx context.Context, ch *iso7816.Channel) error {
	_, err := ch.Select(ctx, muscleAID())
	if err == nil || iso7816.StatusOf(err) == 0 {
		return key.Explain(err, "selecting the MUSCLE applet", "")
	}
	p := problem.New(problem.NotFound, "this card has no MUSCLE applet").Advise(advice.Do(advice.ShowCard))
	p.Cause = errors.Join(err, card.ErrLacks)
	return p.Because("The applet must be installed first. The card answered SELECT with %s.", iso7816.StatusOf(err))
}

// note reads the serial of the chip before the card is let go.
func (c *muscleCard) note(ctx context.Context) error {
	ch, err := c.line.Channel(ctx)
	if err == nil {
		c.serial, err = chipSerial(ctx, ch)
	}
	c.known = err == nil
	return err
}

// same compares a card that was let go with the one before: by the serial of its
// chip, and it has the applet.
func (c *muscleCard) same(ctx context.Context, ch *iso7816.Channel) error {
	serial, err := chipSerial(ctx, ch)
	if err != nil {
		return err
	}
	if c.known && serial != c.serial {
		return desk.Changed(c.line.Place(), "This card has another serial.", nil)
	}
	err = selectMuscle(ctx, ch)
	if errors.Is(err, card.ErrLacks) {
		return desk.Changed(c.line.Place(), "This card has no MUSCLE applet.", err)
	}
	return err
}

// Survey refuses what a MUSCLE applet does not have. That it is not set up yet it
// does not tell.
func (c *muscleCard) Survey(_ context.Context, o card.InitOptions) (*card.Survey, error) {
	switch {
	case o.Label != "":
		return nil, problem.New(problem.NotSupported, "a MUSCLE applet has no label").Advise(advice.Repeat().Without(advice.Label))
	case o.FactoryPINs:
		return nil, problem.New(problem.NotSupported, "a MUSCLE applet has no factory PINs").
			Because("The applet cannot be used before its set-up, which sets its PINs.").
			Advise(advice.Repeat(advice.Ask(secret.PIN), advice.Ask(secret.SOPIN), advice.Ask(secret.PUK)).Without(advice.Factory))
	}
	return &card.Survey{
		Options: o,
		Question: advice.Question{
			Deed: "Set up", Subject: "the MUSCLE applet on the " + c.name(),
			Lost: "It gets the PINs that you give now, and cannot be set up again.",
		},
		Report: card.InitReport{Application: muscleApp, PINs: "new", Lost: []string{}},
		Needs:  []card.Need{c.need(secret.SOPIN, pin.SO), c.need(secret.PIN, pin.User), c.need(secret.PUK, pin.PUK)},
	}, nil
}

// name is what a person knows the card by.
func (c *muscleCard) name() string { return "Java card in " + output.Line(c.line.Place()) }

func (c *muscleCard) need(name secret.Name, role pin.Role) card.Need {
	what := pin.PIN{Role: role, Secret: name, Holder: c.name(), Min: minMusclePIN, Max: maxMusclePIN}
	return card.Need{
		Request: secret.Request{Name: name, Label: "new " + what.Name(), Note: "4 to 8 characters", New: true},
		PIN:     what,
	}
}

// Initialise sends the set-up, once.
func (c *muscleCard) Initialise(ctx context.Context, s *card.Survey, given map[secret.Name]*secret.Bytes) (card.InitReport, error) {
	ch, err := c.line.Channel(ctx)
	if err != nil {
		return s.Report, key.Explain(err, "init", key.Untouched)
	}
	data := muscleSetupData(given)
	defer secret.Wipe(data)
	_, err = ch.Send(ctx, iso7816.Command{CLA: classMuscle, INS: insMuscleSetup, Data: data})
	if err == nil {
		return s.Report, nil
	}
	state := "The applet may be set up, with the given PINs."
	switch status := iso7816.StatusOf(err); {
	case iso7816.Refused(err), status == muscleUnsupported, status == muscleBlocked, status == muscleWrongPIN:
		state, err = key.Untouched, muscleRefused(err, status)
	case status != 0:
		state = muscleState(ctx, ch, state)
	}
	return s.Report, key.Explain(err, "init", state)
}

// muscleState is what an applet shows of itself after an answer to the set-up that
// leaves open whether it was done: it takes GET STATUS only after it. state is what
// is said where that does not tell either.
func muscleState(ctx context.Context, ch *iso7816.Channel, state string) string {
	_, err := ch.Send(ctx, iso7816.Command{CLA: classMuscle, INS: insMuscleStatus, Ne: iso7816.MaxShortNe})
	switch {
	case err == nil:
		return "The applet is set up, with the given PINs unless it was set up before."
	case iso7816.StatusOf(err) == muscleUnsupported:
		return "The applet is not set up."
	}
	return state
}

// muscleSetupData is the data of the set-up command, in which a length of one
// byte stands before each PIN. Both PINs get the same unblock code.
func muscleSetupData(given map[secret.Name]*secret.Bytes) []byte {
	sized := func(data, value []byte) []byte { return append(append(data, byte(len(value))), value...) }
	const longest = 1 + len(musclePIN) + len(musclePINs)*2*(2+maxMusclePIN) + len(muscleTail)
	data := sized(make([]byte, 0, longest), []byte(musclePIN)) // with room, so that no copy of a PIN stays behind
	unblock := given[secret.PUK].Reveal()
	for _, p := range musclePINs {
		data = append(data, p.tries, p.unblockTries)
		data = sized(sized(data, given[p.name].Reveal()), unblock)
	}
	return append(data, muscleTail...)
}

func muscleRefused(err error, status iso7816.Status) error {
	const again = "Only installing the applet again resets it, and everything in it is lost."
	switch status {
	case iso7816.StatusINSNotSupported, iso7816.StatusCLANotSupported, muscleUnsupported:
		p := problem.New(problem.NotSupported, "this MUSCLE applet is already set up").
			Because("The applet accepts the set-up only once, and answered with %s. %s", status, again)
		p.Cause = err
		return p.Advise(advice.Do(advice.ShowCard))
	case muscleWrongPIN, muscleBlocked, iso7816.StatusSecurityNotSatisfied:
		p := problem.New(problem.Failed, "the MUSCLE applet rejected its factory PIN").
			Because("The applet answered the set-up with %s. Each set-up uses up a try of that PIN, and nothing shows how many are left. %s", status, again)
		p.Cause = err
		return p.Advise(advice.Do(advice.ShowCard))
	}
	return err
}
