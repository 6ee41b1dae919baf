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
	line   *desk.Line
	access key.Access
	// done says that the set-up was done before.
	done bool
	// serial is that of the chip; known says that it was read.
	serial string
	known  bool
}

func openMuscle(ctx context.Context, line *desk.Line, o card.Opening) (card.Card, error) {
	ch, err := line.Channel(ctx)
	if err != nil {
		return nil, err
	}
	done, err := selectMuscle(ctx, ch)
	if err != nil {
		return nil, err
	}
	identity := card.Identity{
		Type:         "MUSCLE card",
		Applications: []card.Application{{Name: muscleApp, AID: fmt.Sprintf("%X", muscleAID())}},
	}
	c := &muscleCard{keyless: keyless{identity}, line: line, access: o.Access, done: done}
	line.Note(c.note)
	line.Same(c.same)
	return c, nil
}

// selectMuscle selects the applet, and tells whether it is set up. Its answer to
// SELECT says nothing, and there are cards that select any name.
func selectMuscle(ctx context.Context, ch *iso7816.Channel) (done bool, err error) {
	_, err = ch.Select(ctx, muscleAID())
	if err == nil {
		var is bool
		if is, done, err = muscleStatus(ctx, ch); is {
			return done, nil
		}
	}
	status := iso7816.StatusOf(err)
	if err != nil && status == 0 {
		return false, key.Explain(err, "selecting the MUSCLE applet", "")
	}
	p := problem.New(problem.NotFound, "this card has no MUSCLE applet").Advise(advice.Do(advice.ShowCard))
	p.Cause = errors.Join(err, card.ErrLacks)
	if err == nil {
		return false, p.Because("The applet must be installed first. The card accepts SELECT, but has no status of a MUSCLE applet.")
	}
	return false, p.Because("The applet must be installed first. The card answered SELECT with %s.", status)
}

// muscleStatus asks what is selected for GET STATUS. A MUSCLE applet tells versions,
// memory, PINs and keys in at least 10 bytes once it is set up, and that it is not
// before. An answer that is neither, nor a refusal, leaves both open.
func muscleStatus(ctx context.Context, ch *iso7816.Channel) (is, done bool, err error) {
	const least = 10
	answer, err := ch.Send(ctx, iso7816.Command{CLA: classMuscle, INS: insMuscleStatus, Ne: iso7816.MaxShortNe})
	switch {
	case iso7816.Refused(err):
		return false, false, nil
	case iso7816.StatusOf(err) != 0:
		return true, false, nil
	}
	done = err == nil && len(answer) >= least
	return done, done, err
}

func isMuscle(ctx context.Context, ch *iso7816.Channel) (bool, error) {
	is, _, err := muscleStatus(ctx, ch)
	return is, err
}

// Number reads the serial of the chip.
func (c *muscleCard) Number(ctx context.Context) error { return c.note(ctx) }

// note reads the serial of the chip before the card is let go.
func (c *muscleCard) note(ctx context.Context) error {
	ch, err := c.line.Channel(ctx)
	if err == nil {
		c.serial, err = chipSerial(ctx, ch)
		c.identity.Serial = c.serial
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
	_, err = selectMuscle(ctx, ch)
	if errors.Is(err, card.ErrLacks) {
		return desk.Changed(c.line.Place(), "This card has no MUSCLE applet.", err)
	}
	return err
}

// Survey refuses what a MUSCLE applet does not have, and one that is set up.
func (c *muscleCard) Survey(_ context.Context, o card.InitOptions) (*card.Survey, error) {
	switch {
	case c.done:
		return nil, alreadySetUp("It shows its status, which it does only afterwards.")
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
			Lost: "It gets the PINs that you give now, and cannot be set up again. A wrong factory PIN uses up one of its tries, which the applet does not show.",
		},
		Report: card.InitReport{Application: muscleApp, PINs: "new", Lost: []string{}},
		Needs:  []card.Need{c.need(secret.SOPIN, pin.SO), c.need(secret.PIN, pin.User), c.need(secret.PUK, pin.PUK), c.first()},
	}, nil
}

// first is the PIN that the applet comes with, where that is not the usual one.
// Before the set-up nothing shows its tries.
func (c *muscleCard) first() card.Need {
	const longest = 16
	p := pin.PIN{
		Role: pin.SO, Secret: secret.CurrentSOPIN, Holder: c.name(), Min: 1, Max: longest, Rescue: advice.Do(advice.ShowCard),
		Tries: func(context.Context, bool) (pin.Tries, error) { return pin.Unknown(), nil },
	}
	return card.Need{PIN: p, Request: secret.Request{Name: secret.CurrentSOPIN, Label: "factory PIN of the MUSCLE applet", Optional: true}}
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

// Initialise sends the set-up, once, with the factory PIN that the user names or the
// usual one, which is no secret.
func (c *muscleCard) Initialise(ctx context.Context, s *card.Survey, given map[secret.Name]*secret.Bytes) (card.InitReport, error) {
	factory, first := given[secret.CurrentSOPIN], c.first().PIN
	if factory == nil {
		factory, first.Tries = secret.New([]byte(musclePIN)), nil
		defer factory.Wipe()
	}
	state := key.Untouched
	err := c.access.Policy.Given(factory).Send(ctx, first, func(ctx context.Context, factory *secret.Bytes) (err error) {
		state, err = c.setUp(ctx, factory, given)
		return err
	})
	return s.Report, key.Explain(err, "init", state)
}

func (c *muscleCard) setUp(ctx context.Context, factory *secret.Bytes, given map[secret.Name]*secret.Bytes) (state string, err error) {
	ch, err := c.line.Channel(ctx)
	if err != nil {
		return key.Untouched, err
	}
	data := muscleSetupData(factory, given)
	defer secret.Wipe(data)
	if _, err = ch.Send(ctx, iso7816.Command{CLA: classMuscle, INS: insMuscleSetup, Data: data}); err == nil {
		return "", nil
	}
	state = "The applet may be set up, with the given PINs."
	switch status := iso7816.StatusOf(err); {
	case iso7816.Refused(err), status == muscleUnsupported, status == muscleBlocked, status == muscleWrongPIN:
		return key.Untouched, muscleRefused(err, status)
	case status != 0:
		state = muscleState(ctx, ch, state)
	}
	return state, err
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
func muscleSetupData(factory *secret.Bytes, given map[secret.Name]*secret.Bytes) []byte {
	sized := func(data, value []byte) []byte { return append(append(data, byte(len(value))), value...) }
	longest := 1 + len(factory.Reveal()) + len(musclePINs)*2*(2+maxMusclePIN) + len(muscleTail)
	data := sized(make([]byte, 0, longest), factory.Reveal()) // with room, so that no copy of a PIN stays behind
	unblock := given[secret.PUK].Reveal()
	for _, p := range musclePINs {
		data = append(data, p.tries, p.unblockTries)
		data = sized(sized(data, given[p.name].Reveal()), unblock)
	}
	return append(data, muscleTail...)
}

// onlyAgain is what resets an applet.
const onlyAgain = "Only installing the applet again resets it, and everything in it is lost."

func alreadySetUp(why string) *problem.Error {
	return problem.New(problem.NotSupported, "this MUSCLE applet is already set up").
		Because("The applet accepts the set-up only once. %s %s", why, onlyAgain).Advise(advice.Do(advice.ShowCard))
}

func muscleRefused(err error, status iso7816.Status) error {
	switch status {
	case iso7816.StatusINSNotSupported, iso7816.StatusCLANotSupported, muscleUnsupported:
		p := alreadySetUp("It answered with " + status.String() + ".")
		p.Cause = err
		return p
	case muscleWrongPIN, muscleBlocked, iso7816.StatusSecurityNotSatisfied:
		p := problem.New(problem.PINIncorrect, "the MUSCLE applet rejected its factory PIN").
			Because("The applet answered the set-up with %s. Each set-up uses up a try of that PIN, and nothing shows how many are left. %s", status, onlyAgain)
		p.Cause = err
		return p.Advise(advice.Repeat(advice.Ask(secret.CurrentSOPIN), advice.Switch(advice.NoCount)))
	}
	return err
}
