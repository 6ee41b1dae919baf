package cardinit

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
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
	label               string
	tries, unblockTries byte
}{
	{secret.SOPIN, "new SO PIN", 4, 1},
	{secret.PIN, "new user PIN", 5, 2},
}

// What follows the PINs: the HOWTO's memory sizes and access conditions.
const muscleTail = "\x00\x00" + // memory for secrets: none
	"\x17\x70" + // memory for objects: 6000 bytes
	"\x00" + // everybody may create objects
	"\x02\x01" // PIN 1 creates keys, PIN 0 creates PINs

func muscleAID() []byte { return []byte{0xA0, 0x00, 0x00, 0x00, 0x01, 0x01} }

// hasMuscle reports whether the card has a MUSCLE applet.
func hasMuscle(ctx context.Context, ch *iso7816.Channel) bool {
	_, err := ch.Select(ctx, muscleAID())
	return err == nil
}

// initialiseMuscle sends the set-up to a MUSCLE applet.
func initialiseMuscle(ctx context.Context, ch *iso7816.Channel, o Options) (Report, error) {
	report := Report{Application: "muscle", PINs: "new", Lost: []string{}}
	switch {
	case o.Label != "":
		return report, problem.New(problem.NotSupported, "a MUSCLE applet has no label").Hint("leave --label away")
	case o.FactoryPINs:
		return report, problem.New(problem.NotSupported, "a MUSCLE applet has no factory PINs").
			Because("It cannot be used before its set-up, which gives it its PINs.").Hint("--pin prompt --so-pin prompt --puk prompt")
	}
	state := "Nothing on the card was changed."
	err := muscleSetup(ctx, ch, o, &state)
	return report, key.Explain(err, "init", state)
}

func muscleSetup(ctx context.Context, ch *iso7816.Channel, o Options, state *string) error {
	if _, err := ch.Select(ctx, muscleAID()); err != nil {
		if iso7816.StatusOf(err) == 0 {
			return err
		}
		p := problem.New(problem.NotFound, "this card has no MUSCLE applet").Hint("cardctl applet install puts one on a Java card")
		p.Cause = err
		return p.Because("It answered SELECT with %s.", iso7816.StatusOf(err))
	}
	if err := o.Confirm(ctx, "Set up the MUSCLE applet? Its PINs are then what they are given here, and it cannot be set up again."); err != nil {
		return err
	}
	data, err := muscleSetupData(ctx, o.Access.Ask)
	if err != nil {
		return err
	}
	defer secret.Wipe(data)
	*state = "The applet may be set up, with the PINs that were given; the same command again says."
	_, err = ch.Send(ctx, iso7816.Command{CLA: classMuscle, INS: insMuscleSetup, Data: data})
	if err == nil {
		return nil
	}
	switch status := iso7816.StatusOf(err); {
	case iso7816.Refused(err), status == muscleUnsupported, status == muscleBlocked, status == muscleWrongPIN:
		*state = "Nothing on the card was changed."
		return muscleRefused(err, status)
	case status != 0:
		*state = muscleState(ctx, ch, *state)
	}
	return err
}

// muscleState is what an applet shows of itself after an answer to the set-up that
// leaves open whether it was done: it takes GET STATUS only after it. state is what
// is said where that does not tell either.
func muscleState(ctx context.Context, ch *iso7816.Channel, state string) string {
	_, err := ch.Send(ctx, iso7816.Command{CLA: classMuscle, INS: insMuscleStatus, Ne: iso7816.MaxShortNe})
	switch {
	case err == nil:
		return "The applet is set up, with the PINs that were given unless it was set up before."
	case iso7816.StatusOf(err) == muscleUnsupported:
		return "The applet is not set up."
	}
	return state
}

// muscleSetupData is the data of the set-up command, in which a length of one
// byte stands before each PIN. Both PINs get the same unblock code.
func muscleSetupData(ctx context.Context, ask secret.Asker) ([]byte, error) {
	var pins []*secret.Bytes
	defer func() {
		for _, pin := range pins {
			pin.Wipe()
		}
	}()
	get := func(name secret.Name, label string) error {
		pin, err := ask(ctx, secret.Request{Name: name, Label: label, Note: "4 to 8 characters", New: true})
		if err != nil {
			return err
		}
		pins = append(pins, pin)
		if n := pin.Len(); n < minMusclePIN || n > maxMusclePIN {
			return problem.New(problem.Usage, "the %s has %d bytes", label, n).
				Because("A MUSCLE applet takes %d to %d.", minMusclePIN, maxMusclePIN)
		}
		return nil
	}
	for _, p := range musclePINs {
		if err := get(p.name, p.label); err != nil {
			return nil, err
		}
	}
	if err := get(secret.PUK, "new unblock code"); err != nil {
		return nil, err
	}
	sized := func(data, value []byte) []byte { return append(append(data, byte(len(value))), value...) }
	const longest = 1 + len(musclePIN) + len(musclePINs)*2*(2+maxMusclePIN) + len(muscleTail)
	data := sized(make([]byte, 0, longest), []byte(musclePIN)) // with room, so that no copy of a PIN stays behind
	unblock := pins[len(musclePINs)].Reveal()
	for i, p := range musclePINs {
		data = append(data, p.tries, p.unblockTries)
		data = sized(sized(data, pins[i].Reveal()), unblock)
	}
	return append(data, muscleTail...), nil
}

func muscleRefused(err error, status iso7816.Status) error {
	const again = "cardctl applet install FILE --replace puts the applet on the card anew, and all that it keeps is lost"
	switch status {
	case iso7816.StatusINSNotSupported, iso7816.StatusCLANotSupported, muscleUnsupported:
		p := problem.New(problem.NotSupported, "this MUSCLE applet is set up already").
			Because("It takes the set-up only once, and answered it with %s.", status)
		p.Cause = err
		return p.Hint(again)
	case muscleWrongPIN, muscleBlocked, iso7816.StatusSecurityNotSatisfied:
		p := problem.New(problem.Failed, "the MUSCLE applet does not take the PIN that it should come with").
			Because("It answered the set-up with %s. Each set-up costs one of that PIN's few tries, which the applet does not show.", status)
		p.Cause = err
		return p.Hint(again)
	}
	return err
}
