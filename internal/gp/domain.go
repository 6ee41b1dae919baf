package gp

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// ErrNoSecurityDomain is a card on which no security domain can be selected.
var ErrNoSecurityDomain = errors.New("the card has no security domain that can be selected")

// SecurityDomain is a card on which a security domain is selected.
type SecurityDomain struct {
	ch        *iso7816.Channel
	aid       AID
	protocols []Protocol
	session   *Session
	noTLV     bool // GET STATUS knows only the old format
	reads     int  // GET DATA that were sent
	locked    bool // the answer to SELECT said so

	recognition *Recognition // nil before it is known
}

// Discover selects the issuer security domain: the one that is selected when
// no AID is named, then those with a known AID. Where aid is given, that one
// and no other is selected.
func Discover(ctx context.Context, ch *iso7816.Channel, aid AID) (*SecurityDomain, error) {
	if aid != nil {
		return selectDomain(ctx, ch, aid)
	}
	var refused *iso7816.StatusError
	for _, candidate := range append([]AID{nil}, issuerAIDs()...) {
		d, err := selectDomain(ctx, ch, candidate)
		if err == nil && candidate == nil {
			err = d.confirm(ctx)
		}
		if err == nil {
			return d, nil
		}
		if !errors.As(err, &refused) && !errors.Is(err, ErrMalformed) {
			return nil, err
		}
	}
	return nil, ErrNoSecurityDomain
}

// selectDomain is SELECT (11.9).
func selectDomain(ctx context.Context, ch *iso7816.Channel, aid AID) (*SecurityDomain, error) {
	d := &SecurityDomain{ch: ch, aid: aid}
	fci, err := ch.Select(ctx, aid)
	if status := iso7816.StatusOf(err); status == StatusCardLocked || status == 0x6285 {
		d.locked = status == StatusCardLocked
		err = nil // locked or terminated, and selected all the same
	}
	if err != nil {
		return nil, named(err, "SELECT")
	}
	if name, ok := iso7816.FindTLV(fci, 0x6F, 0x84); ok && AID(name).Check() == nil {
		d.aid = name
	}
	if recognition, ok := iso7816.FindTLV(fci, 0x6F, 0xA5, 0x73); ok {
		if r, err := parseRecognition(recognition); err == nil {
			d.protocols, d.recognition = r.Protocols, r
		}
	}
	return d, nil
}

// confirm tells a security domain from another application that is selected by
// default: it has the AID of one, or the card recognition data.
func (d *SecurityDomain) confirm(ctx context.Context) error {
	for _, known := range issuerAIDs() {
		if d.aid.Equal(known) {
			return nil
		}
	}
	if len(d.protocols) > 0 {
		return nil
	}
	r, err := d.Recognition(ctx)
	if err == nil {
		d.protocols = r.Protocols
	}
	return err
}

// AID is the AID of the domain as the card told it, or else as it was
// selected; nil where neither is known.
func (d *SecurityDomain) AID() AID { return d.aid }

// Locked reports whether the card said, when the domain was selected, that it is
// locked: its life cycle state is CARD_LOCKED.
func (d *SecurityDomain) Locked() bool { return d.locked }

// Recognised reports whether the recognition data are known without a command.
func (d *SecurityDomain) Recognised() bool { return d.recognition != nil }

// Reads is how many data objects were asked for.
func (d *SecurityDomain) Reads() int { return d.reads }

// Session is the open secure channel, nil where there is none.
func (d *SecurityDomain) Session() *Session { return d.session }

// Protocols are the secure channel protocols that the domain announces. They
// are read with GET DATA where SELECT did not tell; a card that does not tell
// at all has none.
func (d *SecurityDomain) Protocols(ctx context.Context) ([]Protocol, error) {
	if d.protocols != nil {
		return d.protocols, nil
	}
	r, err := d.Recognition(ctx)
	var refused *CommandError
	switch {
	case err == nil:
		d.protocols = r.Protocols
	case errors.As(err, &refused), errors.Is(err, ErrMalformed):
		d.protocols = []Protocol{}
	default:
		return nil, err
	}
	return d.protocols, nil
}

// Open opens a secure channel. One that is open is closed before.
func (d *SecurityDomain) Open(ctx context.Context, c Credentials) error {
	d.Close()
	told, err := d.told(ctx, c)
	if err != nil {
		return err
	}
	s, err := open(ctx, d.ch, d.aid, told, c)
	if err != nil {
		return d.onLocked(err)
	}
	d.session = s
	return nil
}

// onLocked tells an error of a card that is locked from others.
func (d *SecurityDomain) onLocked(err error) error {
	var refused *CommandError
	if d.locked && errors.As(err, &refused) {
		refused.Locked = true
	}
	return err
}

// told is what the domain announces, unless the credentials say it.
func (d *SecurityDomain) told(ctx context.Context, c Credentials) ([]Protocol, error) {
	if c.Protocol.SCP != 0 {
		return nil, nil
	}
	return d.Protocols(ctx)
}

// Has reports whether the card proves in its answer to INITIALIZE UPDATE that it
// has these keys. They are not tried: the card is not authenticated, and counts
// nothing. Keys that the card's protocol cannot have, it does not have. A secure channel that is open is closed before.
func (d *SecurityDomain) Has(ctx context.Context, c Credentials) (bool, error) {
	d.Close()
	told, err := d.told(ctx, c)
	if err != nil {
		return false, err
	}
	p, err := propose(ctx, d.ch, told, c)
	switch {
	case errors.Is(err, ErrKeyFormat), errors.Is(err, ErrKeyVersion), c.KeyVersion != 0 && iso7816.StatusOf(err) == iso7816.StatusReferenceNotFound:
		return false, nil
	case err != nil:
		return false, err
	}
	defer p.Close()
	return p.proved(), nil
}

// Reselect selects the domain again, which ends its secure channel on the card
// too.
func (d *SecurityDomain) Reselect(ctx context.Context) error {
	d.Close()
	again, err := selectDomain(ctx, d.ch, d.aid)
	if err == nil {
		d.locked = again.locked
	}
	return err
}

// Close ends the secure channel on this side and wipes its keys.
func (d *SecurityDomain) Close() {
	d.session.Close()
	d.session = nil
}

// send sends a command, through the secure channel where one is open.
func (d *SecurityDomain) send(ctx context.Context, name string, cmd iso7816.Command) ([]byte, error) {
	if d.session == nil {
		answer, err := d.ch.Send(ctx, cmd)
		return answer, d.onLocked(named(err, name))
	}
	answer, err := d.session.send(ctx, cmd)
	return answer, d.onLocked(named(err, name))
}

// Transmit sends any command through the secure channel, or as it is where none
// is open, and returns its answer.
func (d *SecurityDomain) Transmit(ctx context.Context, cmd iso7816.Command) ([]byte, error) {
	return d.send(ctx, "the command", cmd)
}

// Transmit sends any command as it is.
func Transmit(ctx context.Context, ch *iso7816.Channel, cmd iso7816.Command) ([]byte, error) {
	answer, err := ch.Send(ctx, cmd)
	return answer, named(err, "the command")
}
