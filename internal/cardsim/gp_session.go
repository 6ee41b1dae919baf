package cardsim

import (
	"crypto/subtle"
	"encoding/binary"
	"io"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// gpSession is a secure channel session, from INITIALIZE UPDATE on.
type gpSession struct {
	messaging
	channel       secureChannel
	version       byte // of the keys
	level         securityLevel
	authenticated bool
}

// authenticationTries is how often in a row EXTERNAL AUTHENTICATE may fail
// before the card takes no more: then nobody can manage it again.
const authenticationTries = 10

// initializeUpdate is INITIALIZE UPDATE (D.4.1, E.5.1; Amendment D, 7.1.1).
func (a *gp) initializeUpdate(c iso7816.Command) ([]byte, iso7816.Status) {
	a.session = nil
	if c.CLA != classProprietary {
		return nil, iso7816.StatusCLANotSupported
	}
	set := a.keySet(c.P1)
	channel := a.state.channel()
	if set != nil {
		channel = set.channel(channel)
	}
	switch {
	case len(c.Data) != channel.challengeLength():
		return nil, iso7816.StatusWrongLength
	case a.state.Tries == 0:
		return nil, iso7816.StatusPINBlocked
	case set == nil || c.P2 > 1:
		return nil, iso7816.StatusReferenceNotFound
	}
	host := slices.Clone(c.Data)
	random := make([]byte, channel.challengeLength())
	if _, err := io.ReadFull(a.random, random); err != nil {
		return nil, iso7816.StatusMemoryFailure
	}
	answer := append(a.diversificationData(), set.Version, channel.protocol)
	session := &gpSession{channel: channel, version: set.Version}
	switch channel.protocol {
	case 1:
		session.messaging = newSCP01(channel, set, host, random)
		answer = append(answer, random...)
	case 2:
		counter := binary.BigEndian.AppendUint16(nil, uint16(set.Counter))
		challenge := random[:6]
		if channel.i&scp02PseudoRandom != 0 {
			challenge = scp02Challenge(set, counter, a.domainAID())
		}
		card := slices.Concat(counter, challenge)
		session.messaging = newSCP02(channel, set, host, card)
		answer = append(answer, card...)
	case 3:
		counter := binary.BigEndian.AppendUint32(nil, set.Counter)[1:]
		card, after := random, []byte(nil)
		if channel.i&scp03PseudoRandom != 0 {
			if after = counter; !a.profile.randomChallenge {
				card = scp03Challenge(channel, set, counter, a.domainAID())
			}
			set.Counter++
			if status := a.save(); status != iso7816.StatusOK {
				return nil, status
			}
		}
		session.messaging = newSCP03(channel, set, host, card)
		answer = append(append(answer, channel.i), card...)
		a.session = session
		return slices.Concat(answer, session.cryptogram(false), after), iso7816.StatusOK
	}
	a.session = session
	return append(answer, session.cryptogram(false)...), iso7816.StatusOK
}

// externalAuthenticate is EXTERNAL AUTHENTICATE (D.4.2, E.5.2; Amendment D,
// 7.1.2). A failure is counted before it is known, so that pulling the card
// gains nothing.
func (a *gp) externalAuthenticate(c iso7816.Command) iso7816.Status {
	session := a.session
	a.session = nil
	level := securityLevel(c.P1)
	switch {
	case c.CLA != classProprietary|classSecureGP:
		return iso7816.StatusCLANotSupported
	case session == nil || session.authenticated:
		return iso7816.StatusConditionsNotSatisfied
	case c.P2 != 0 || !session.channel.allows(level):
		return iso7816.StatusWrongP1P2
	case level == 0 && a.state.LifeCycle >= cardSecured:
		return iso7816.StatusSecurityNotSatisfied
	}
	cryptogram := session.cryptogram(true)
	if len(c.Data) != 2*len(cryptogram) {
		return iso7816.StatusWrongLength
	}
	a.state.Tries--
	if status := a.save(); status != iso7816.StatusOK {
		return status
	}
	if subtle.ConstantTimeCompare(c.Data[:len(cryptogram)], cryptogram) != 1 {
		return statusNotAuthenticated
	}
	if _, ok := session.unwrap(c, 0); !ok {
		return iso7816.StatusSecurityNotSatisfied
	}
	a.state.Tries = authenticationTries
	if set := a.keySet(session.version); set != nil && session.channel.protocol == 2 {
		set.Counter = (set.Counter + 1) & 0xFFFF
	}
	if status := a.save(); status != iso7816.StatusOK {
		return status
	}
	session.level, session.authenticated = level, true
	a.session = session
	return iso7816.StatusOK
}

func (a *gp) authorized() bool { return a.session != nil && a.session.authenticated }

// receive takes the protection of a command away. What is not protected as the
// session asks for ends it (10.2.3).
func (a *gp) receive(c iso7816.Command) (iso7816.Command, iso7816.Status) {
	secured := c.CLA&classSecureGP != 0
	if !a.authorized() {
		if secured {
			return c, iso7816.StatusSecurityNotSatisfied
		}
		return c, iso7816.StatusOK
	}
	if a.session.level&levelMAC == 0 && !secured {
		return c, iso7816.StatusOK
	}
	if secured && a.session.level&levelMAC != 0 {
		if plain, ok := a.session.unwrap(c, a.session.level); ok {
			return plain, iso7816.StatusOK
		}
	}
	domain := a.domain
	a.deselect()
	a.domain = domain // it stays selected
	return c, iso7816.StatusSecurityNotSatisfied
}

// answer protects what a command answers.
func (a *gp) answer(plain iso7816.Command, data []byte, status iso7816.Status) []byte {
	if !a.authorized() {
		return data
	}
	return a.session.wrap(plain, data, status, a.session.level)
}
