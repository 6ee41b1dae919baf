package openpgp

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// PasswordRef is the P2 of the commands that take a password (7.2.2).
type PasswordRef byte

// The passwords of 4.3. PW1Sign is PW1 for PSO: COMPUTE DIGITAL SIGNATURE, PW1
// the same password for everything else. ResettingCode is never a P2: the
// commands that take it know.
const (
	PW1Sign       PasswordRef = 0x81
	PW1           PasswordRef = 0x82
	PW3           PasswordRef = 0x83
	ResettingCode PasswordRef = 0x00
)

// MinLength is the least length of a password in bytes (4.3).
func (r PasswordRef) MinLength() int {
	if r == PW1Sign || r == PW1 {
		return 6
	}
	return 8
}

// PasswordError is a password that the card did not take.
type PasswordError struct {
	Ref       PasswordRef
	TriesLeft int
	Cause     error
}

func (e *PasswordError) Error() string {
	return fmt.Sprintf("wrong password, %d tries left: %v", e.TriesLeft, e.Cause)
}

func (e *PasswordError) Unwrap() error { return e.Cause }

// Verify is VERIFY (7.2.2), once for each password. A refusal is a
// *PasswordError.
func (c *Card) Verify(ctx context.Context, ref PasswordRef, password *secret.Bytes) error {
	if c.verified[ref] {
		return nil
	}
	value, err := c.derive(ctx, ref, password)
	if err != nil {
		return err
	}
	defer secret.Wipe(value)
	err = c.sendPassword(ctx, ref, iso7816.Command{INS: iso7816.InsVerify, P2: byte(ref), Data: value})
	c.verified[ref] = err == nil
	return err
}

// Verified reports whether Verify has accepted this password.
func (c *Card) Verified(ref PasswordRef) bool { return c.verified[ref] }

// Guess sends VERIFY with a password that is meant to be wrong, of a length that
// the card counts. It is the one command that may be repeated, for it is how a
// card gets its passwords blocked, which lets TERMINATE DF pass without PW3
// (7.2.16).
func (c *Card) Guess(ctx context.Context, ref PasswordRef, length int) error {
	wrong := bytes.Repeat([]byte{0x40}, length)
	_, err := c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsVerify, P2: byte(ref), Data: wrong})
	return err
}

// GuessLengths are the lengths of passwords that the card may count as wrong
// ones, the likeliest first.
func (c *Card) GuessLengths(ctx context.Context) ([]int, error) {
	kdf, err := c.readKDF(ctx)
	if err != nil {
		return nil, err
	}
	lengths := []int{8, 32, 64}
	if kdf.newHash == nil {
		return lengths, nil
	}
	size := kdf.newHash().Size()
	return append([]int{size}, slices.DeleteFunc(lengths, func(n int) bool { return n == size })...), nil
}

// PasswordStatus reads DO C4 (4.4.3.5) anew.
func (c *Card) PasswordStatus(ctx context.Context) (PasswordStatus, error) {
	raw, err := c.GetData(ctx, 0xC4)
	if err != nil {
		return PasswordStatus{}, err
	}
	now, err := ParsePasswordStatus(template(raw, 0xC4))
	if err == nil && c.data != nil {
		c.data.Passwords = now
	}
	return now, err
}

// ChangeReferenceData is CHANGE REFERENCE DATA (7.2.3) of PW1 or PW3. A wrong
// old password is a *PasswordError.
func (c *Card) ChangeReferenceData(ctx context.Context, ref PasswordRef, old, replacement *secret.Bytes) error {
	if ref == PW1 {
		ref = PW1Sign // the command knows PW1 by this number only
	}
	data, err := c.derivePair(ctx, ref, old, ref, replacement)
	if err != nil {
		return err
	}
	defer secret.Wipe(data)
	err = c.sendPassword(ctx, ref, iso7816.Command{INS: iso7816.InsChangeReferenceData, P2: byte(ref), Data: data})
	if err == nil && c.plain[ref] {
		delete(c.plain, ref)
		if ref == PW1Sign {
			delete(c.plain, PW1)
		}
	}
	return err
}

// PutTries is Yubico's SET PIN RETRIES: how often each password can be wrong, after PW3
// was verified. All tries are there again. Other cards do not have it.
func (c *Card) PutTries(ctx context.Context, tries int) error {
	const setRetries = 0xF2
	n := byte(tries)
	_, err := c.ch.Send(ctx, iso7816.Command{INS: setRetries, Data: []byte{n, n, n}})
	clear(c.verified)
	c.data = nil
	return err
}

// ChangesTries reports whether the card has PutTries: YubiKeys do, since firmware 4.3.1,
// and the NEO since version 1.0.7 of its applet.
func (c *Card) ChangesTries(ctx context.Context) (bool, error) {
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil || data.AID.Manufacturer() != yubico {
		return false, err
	}
	const getVersion = 0xF1 // Yubico's: three bytes of BCD
	version, err := c.ch.Send(ctx, iso7816.Command{INS: getVersion, Ne: iso7816.MaxShortNe})
	switch {
	case iso7816.StatusOf(err) != 0 || err == nil && len(version) != 3:
		return false, nil
	case err != nil:
		return false, err
	case version[0] == 1:
		return bytes.Compare(version, []byte{1, 0, 7}) >= 0, nil
	}
	return bytes.Compare(version, []byte{4, 3, 1}) >= 0, nil // BCD has the order of numbers
}

// ResetRetryCounter is RESET RETRY COUNTER (7.2.4) for PW1, after PW3 was
// verified.
func (c *Card) ResetRetryCounter(ctx context.Context, replacement *secret.Bytes) error {
	data, err := c.deriveNew(ctx, PW1Sign, replacement)
	if err != nil {
		return err
	}
	defer secret.Wipe(data)
	_, err = c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsResetRetryCounter, P1: 2, P2: byte(PW1Sign), Data: data})
	return err
}

// ResetRetryCounterByCode is the same with the resetting code. A wrong code is
// a *PasswordError.
func (c *Card) ResetRetryCounterByCode(ctx context.Context, code, replacement *secret.Bytes) error {
	data, err := c.derivePair(ctx, ResettingCode, code, PW1Sign, replacement)
	if err != nil {
		return err
	}
	defer secret.Wipe(data)
	return c.sendPassword(ctx, ResettingCode, iso7816.Command{INS: iso7816.InsResetRetryCounter, P2: byte(PW1Sign), Data: data})
}

// PutResettingCode writes DO D3 (4.3.4), after PW3 was verified. A nil code
// removes it.
func (c *Card) PutResettingCode(ctx context.Context, code *secret.Bytes) error {
	if code == nil {
		return c.PutData(ctx, 0xD3, nil)
	}
	data, err := c.derive(ctx, ResettingCode, code)
	if err != nil {
		return err
	}
	defer secret.Wipe(data)
	return c.PutData(ctx, 0xD3, data)
}

// sendPassword sends a command whose refusal may be a wrong password. Cards
// differ in the status word: what is no *PasswordError may be one all the same,
// and PasswordStatus tells.
func (c *Card) sendPassword(ctx context.Context, ref PasswordRef, cmd iso7816.Command) error {
	_, err := c.ch.Send(ctx, cmd)
	status := iso7816.StatusOf(err)
	if left, ok := status.TriesLeft(); ok {
		return &PasswordError{Ref: ref, TriesLeft: left, Cause: err}
	}
	if status == iso7816.StatusPINBlocked {
		return &PasswordError{Ref: ref, TriesLeft: 0, Cause: err}
	}
	return err
}
