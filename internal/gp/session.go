package gp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Errors of opening a secure channel.
var (
	// ErrCardCryptogram is a card that does not have these keys, or does
	// not mean them. Nothing that the card counts was tried.
	ErrCardCryptogram = errors.New("the card's cryptogram does not match these keys")

	// ErrCardChallenge is a card challenge other than the one that the
	// protocol defines.
	ErrCardChallenge = errors.New("the card's challenge does not match the protocol")

	// ErrKeyVersion is a card that answered with other keys than asked for.
	ErrKeyVersion = errors.New("the card answered with another key version")

	// ErrHostRefused is an EXTERNAL AUTHENTICATE that the card refused. The
	// card counts it.
	ErrHostRefused = errors.New("the card refused the authentication")

	// ErrHostUnclear is an EXTERNAL AUTHENTICATE with an answer that says
	// neither that the keys are right nor that they are wrong. The card may
	// have counted it.
	ErrHostUnclear = errors.New("the card did not say whether it accepts the authentication")

	// ErrSessionClosed is a command after its session ended.
	ErrSessionClosed = errors.New("the secure channel is closed")
)

// ErrTooLong is a command that does not fit the way to the card once it is
// protected.
var ErrTooLong = errors.New("the command is too long for the secure channel")

// Credentials are what a secure channel is opened with.
type Credentials struct {
	Keys            *KeySet
	Diversification Diversification

	// KeyVersion and KeyIndex choose the card's keys; 0 leaves it to the
	// card.
	KeyVersion, KeyIndex byte

	// Level is the security level. AnyLevel leaves it to the card whether it has it,
	// whatever its protocol says.
	Level    Level
	AnyLevel bool

	// Protocol overrides what the card says of itself; zero for not.
	Protocol Protocol

	// AcceptRandomChallenge opens SCP03 although the card challenge is not the one
	// that the protocol defines.
	AcceptRandomChallenge bool

	// Confirm, if it is there, sees the answer to INITIALIZE UPDATE before the
	// card is authenticated; its error ends the attempt.
	Confirm func(*InitializeUpdate) error

	// HostChallenge replaces the random challenge of 8 bytes, with S16 16.
	// It is for known answers only.
	HostChallenge []byte
}

// Session is an open secure channel (10.2).
type Session struct {
	ch        *iso7816.Channel
	messaging messaging
	closed    bool

	Protocol   Protocol
	Level      Level
	KeyVersion byte

	// KeyDiversificationData is the card's, 10 bytes.
	KeyDiversificationData [kddLength]byte

	// Sequence is the sequence counter, nil where the protocol has none.
	Sequence []byte

	// ChallengeVerified tells that the card challenge was the one that the
	// protocol defines.
	ChallengeVerified bool
}

// initialize is INITIALIZE UPDATE (D.4.1, E.5.1; Amendment D, 7.1.1).
func initialize(ctx context.Context, ch *iso7816.Channel, c Credentials, host []byte) (*InitializeUpdate, error) {
	const name = "INITIALIZE UPDATE"
	answer, err := ch.Send(ctx, iso7816.Command{
		CLA: classGP, INS: insInitializeUpdate, P1: c.KeyVersion, P2: c.KeyIndex, Data: host, Ne: iso7816.MaxShortNe,
	})
	if err != nil {
		return nil, named(err, name)
	}
	u, err := ParseInitializeUpdate(answer)
	if err != nil {
		return nil, err
	}
	if c.KeyVersion != 0 && u.KeyVersion != c.KeyVersion {
		return nil, fmt.Errorf("%w: %d instead of %d", ErrKeyVersion, u.KeyVersion, c.KeyVersion)
	}
	return u, nil
}

// protocolOf is the protocol of the session: what the answer says, and for
// SCP01 and SCP02 what the card said of itself. The second is what was told
// before; where nothing was, i=05 and i=15 are what nearly all cards have.
func protocolOf(u *InitializeUpdate, forced Protocol, told []Protocol) (Protocol, error) {
	p := Protocol{SCP: u.SCP, I: u.I}
	if forced.SCP != 0 && forced.SCP != u.SCP {
		return p, fmt.Errorf("%w: SCP%02X was requested, and the card answered SCP%02X", ErrProtocol, forced.SCP, u.SCP)
	}
	if u.SCP == 3 {
		if forced.SCP != 0 && forced.I != u.I {
			return p, fmt.Errorf("%w: %s was requested, and the card answered %s", ErrProtocol, forced, p)
		}
		return p, p.check()
	}
	p.I = map[byte]byte{1: 0x05, 2: 0x15}[u.SCP]
	for _, t := range told {
		if t.SCP == u.SCP {
			p.I = t.I
			break
		}
	}
	if forced.SCP != 0 {
		p.I = forced.I
	}
	return p, p.check()
}

// open opens a secure channel with the security domain that is selected. The
// card's cryptogram is checked before the card is asked to check ours.
func open(ctx context.Context, ch *iso7816.Channel, aid []byte, told []Protocol, c Credentials) (*Session, error) {
	p, err := propose(ctx, ch, told, c)
	if err != nil {
		return nil, err
	}
	if err := p.authenticate(ctx, aid, c.AcceptRandomChallenge); err != nil {
		p.Close()
		return nil, err
	}
	return p.Session, nil
}

// proposal is a session that the card has answered to, and that is not
// authenticated.
type proposal struct {
	*Session
	update *InitializeUpdate
	host   []byte
}

// proved reports whether the card has shown that it has the keys.
func (p *proposal) proved() bool {
	return equal(p.update.Cryptogram, p.messaging.cardCryptogram(p.host, p.update.Challenge))
}

// propose is the first half of open: the card has answered, and counted nothing.
func propose(ctx context.Context, ch *iso7816.Channel, told []Protocol, c Credentials) (*proposal, error) {
	size := challengeLength
	for _, t := range append([]Protocol{c.Protocol}, told...) {
		if t.s16() {
			size = longLength
		}
	}
	host := c.HostChallenge
	if host == nil {
		host = make([]byte, size)
		if _, err := rand.Read(host); err != nil {
			return nil, fmt.Errorf("host challenge: %w", err)
		}
	}
	u, err := initialize(ctx, ch, c, host)
	if status := iso7816.StatusOf(err); c.HostChallenge == nil && len(host) != longLength && len(told) == 0 &&
		(status == iso7816.StatusWrongLength || status == iso7816.StatusWrongData) {
		// It may want the challenge of S16, and did not tell before.
		return propose(ctx, ch, []Protocol{{SCP: 3, I: optionS16}}, c)
	}
	if err != nil {
		return nil, err
	}
	p, err := protocolOf(u, c.Protocol, told)
	if err == nil && c.Confirm != nil {
		err = c.Confirm(u)
	}
	if err != nil {
		return nil, err
	}
	if len(host) != len(u.Challenge) && c.HostChallenge == nil {
		// The card did not tell before that it wants the other length.
		c.HostChallenge = make([]byte, len(u.Challenge))
		if _, err := rand.Read(c.HostChallenge); err != nil {
			return nil, fmt.Errorf("host challenge: %w", err)
		}
		return propose(ctx, ch, told, c)
	}
	if len(host) != len(u.Challenge) {
		return nil, malformed("%s with a card challenge of %d bytes", p, len(u.Challenge))
	}
	s, err := newSession(ch, u, p, c, host)
	if err != nil {
		return nil, err
	}
	return &proposal{s, u, host}, nil
}

func newSession(ch *iso7816.Channel, u *InitializeUpdate, p Protocol, c Credentials, host []byte) (*Session, error) {
	if err := p.checkLevel(c.Level); err != nil && !c.AnyLevel {
		return nil, err
	}
	if err := c.Keys.suits(p.Cipher()); err != nil {
		return nil, err
	}
	keys, err := c.Keys.Diversify(c.Diversification, u.KeyDiversificationData[:])
	if err != nil {
		return nil, err
	}
	defer keys.Wipe()
	if p.OneKey() && !keys.single() {
		return nil, unusable("%s uses one base key, and three different keys were given", p)
	}
	s := &Session{
		ch: ch, Protocol: p, Level: c.Level, KeyVersion: u.KeyVersion,
		KeyDiversificationData: u.KeyDiversificationData, Sequence: u.Sequence,
	}
	switch p.SCP {
	case 1:
		s.messaging = newSCP01(p.I, keys, host, u.Challenge)
	case 2:
		s.messaging = newSCP02(p.I, keys, u.Sequence)
	default:
		s.messaging = newSCP03(p.I, keys, host, u.Challenge)
	}
	return s, nil
}

// authenticate checks the card, then is EXTERNAL AUTHENTICATE (D.4.2, E.5.2;
// Amendment D, 7.1.2).
func (p *proposal) authenticate(ctx context.Context, aid []byte, random bool) error {
	if !p.proved() {
		return ErrCardCryptogram
	}
	s, u := p.Session, p.update
	if s.Protocol.pseudoRandom() && aid != nil {
		s.ChallengeVerified = equal(u.Challenge, s.messaging.pseudoRandomChallenge(u.Sequence, aid))
		// Cards that announce SCP02 with i=4x to 7x and answer a random
		// challenge are many, and the cryptogram has proved the keys.
		if !s.ChallengeVerified && s.Protocol.SCP == 3 && !random {
			return ErrCardChallenge
		}
	}
	cmd := iso7816.Command{
		CLA: classGP, INS: insExternalAuthenticate, P1: byte(s.Level),
		Data: s.messaging.hostCryptogram(p.host, u.Challenge),
	}
	_, err := s.ch.SendProtected(ctx, s.messaging.wrap(cmd, CMAC), false)
	err = named(err, "EXTERNAL AUTHENTICATE")
	switch status := iso7816.StatusOf(err); {
	case status == 0:
		return err
	case status == StatusAuthenticationError || iso7816.Refused(err):
		return fmt.Errorf("%w: %w", ErrHostRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrHostUnclear, err)
}

// Close ends the session on this side and wipes its keys. The card ends it
// when something is selected.
func (s *Session) Close() {
	if s == nil || s.closed {
		return
	}
	s.closed = true
	s.messaging.wipe()
}

// MaxData is the greatest length of command data, in bytes, that after
// protection fits into total bytes.
func (s *Session) MaxData(total int) int {
	mac, block := s.messaging.overhead()
	most := maxData(s.Level, total, mac, block)
	if s.Protocol.SCP == 1 && s.Level.has(CDecryption) {
		return min(most, iso7816.MaxShortData) // one byte says its length (D.3.4)
	}
	return most
}

func maxData(level Level, total, mac, block int) int {
	switch {
	case !level.has(CMAC):
		return total
	case !level.has(CDecryption):
		return total - mac
	}
	// SCP01 puts the length before the data, the others 80 after it.
	return (total-mac)/block*block - 1
}

// Fits reports whether a command with that much data, in bytes, gets through the
// secure channel to this card, and how much does at most.
func (s *Session) Fits(length int) (most int, ok bool) {
	most = s.MaxData(MaxCommandData(s.ch.Capabilities()))
	return most, length <= most
}

// send sends a command through the secure channel. An answer that is not the
// card's closes it, and so does a card that cannot be reached, because nobody
// knows then what the card has seen.
func (s *Session) send(ctx context.Context, cmd iso7816.Command) ([]byte, error) {
	if s.closed {
		return nil, ErrSessionClosed
	}
	extended, err := s.extended(len(cmd.Data))
	if err != nil {
		return nil, err
	}
	switch {
	case cmd.Ne > 0 && extended:
		cmd.Ne = iso7816.MaxExtendedNe
	case cmd.Ne > 0:
		cmd.Ne = iso7816.MaxShortNe
	}
	answer, sendErr := s.ch.SendProtected(ctx, s.messaging.wrap(cmd, s.Level), extended)
	status := iso7816.StatusOK
	if sendErr != nil {
		if status = iso7816.StatusOf(sendErr); status == 0 {
			s.Close()
			return nil, sendErr
		}
	}
	plain, err := s.messaging.unwrap(cmd, s.Level, answer, status)
	if err != nil {
		s.Close()
		return nil, err
	}
	return plain, sendErr
}

// extended reports whether a command with that much data needs an extended
// APDU, so that it travels in the form that its C-MAC was computed over.
func (s *Session) extended(length int) (bool, error) {
	if length <= s.MaxData(iso7816.MaxShortData) {
		return false, nil
	}
	if !s.ch.Capabilities().ExtendedLength {
		return false, fmt.Errorf("%w: %d bytes", ErrTooLong, length)
	}
	if most := s.MaxData(maxExtended(s.ch.Capabilities())); length > most {
		return false, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, length, most)
	}
	return true, nil
}

// maxExtended is the most data of an extended command that the card announces.
func maxExtended(can iso7816.Capabilities) int {
	const header = 4 + 3 + 2
	if can.MaxCommand > header && can.MaxCommand-header < iso7816.MaxExtendedData {
		return can.MaxCommand - header
	}
	return iso7816.MaxExtendedData
}

// Open reports whether the session still takes commands.
func (s *Session) Open() bool { return !s.closed }
