package p11kit

import (
	"cmp"
	"context"
	"strconv"
	"strings"
)

// maker is the manufacturer of the library and of slots.
const maker = "cardctl"

// getInfo is C_GetInfo (section 5.4).
func (c *client) getInfo(_ context.Context, _ arguments, w *writer) rv {
	w.version([2]byte{2, 40})
	w.padded(maker, 32)
	w.ulong(0)
	w.padded("cardctl agent", 32)
	w.version(libraryVersion(c.cards.options.Version))
	return ckrOK
}

// libraryVersion is a CK_VERSION: the first two numbers of 1.4.2.
func libraryVersion(text string) (version [2]byte) {
	parts := strings.Split(strings.TrimPrefix(text, "v"), ".")
	for i := range version {
		if i < len(parts) {
			n, _ := strconv.ParseUint(parts[i], 10, 8) // 0 for what is not a number
			version[i] = byte(n)
		}
	}
	return version
}

// getSlotList is C_GetSlotList (section 5.5).
func (c *client) getSlotList(ctx context.Context, a arguments, w *writer) rv {
	slots, err := c.cards.look(ctx)
	if err != nil {
		return valueOf(err)
	}
	withToken := a.numbers[0] != 0
	var ids []uint64
	for _, s := range slots {
		if s.token != nil || !withToken {
			ids = append(ids, s.id)
		}
	}
	w.ulongs(ids, a.room)
	return ckrOK
}

// getSlotInfo is C_GetSlotInfo (section 5.5).
func (c *client) getSlotInfo(ctx context.Context, a arguments, w *writer) rv {
	s, code := c.cards.slot(ctx, a.numbers[0])
	if code != ckrOK {
		return code
	}
	description, flags := "free", uint64(ckfRemovableDevice|ckfHWSlot)
	if s.token != nil {
		description = s.token.About().Reader
		flags |= ckfTokenPresent
	}
	w.padded(description, 64)
	w.padded(maker, 32)
	w.ulong(flags)
	w.version([2]byte{})
	w.version([2]byte{})
	return ckrOK
}

// getTokenInfo is C_GetTokenInfo (section 5.5).
func (c *client) getTokenInfo(ctx context.Context, a arguments, w *writer) rv {
	s, code := c.cards.occupied(ctx, a.numbers[0])
	if code != ckrOK {
		return code
	}
	about := s.token.About()
	flags := uint64(ckfTokenInitialized | ckfUserPINInitialized | ckfProtectedAuthenticationPath | ckfRNG | ckfWriteProtected)
	if c.cards.options.NeedsLogin {
		flags |= ckfLoginRequired
	}
	w.padded(about.Label, 32)
	w.padded(about.Maker, 32)
	w.padded(about.Model, 16)
	serial := cmp.Or(about.ModuleSerial, about.Serial)
	w.padded(serial[max(0, len(serial)-16):], 16) // the end differs from card to card
	w.ulong(flags)
	w.ulong(maxSessions)
	w.ulong(uint64(c.count(s.id)))
	w.ulong(maxSessions)
	w.ulong(uint64(c.countWrite(s.id)))
	w.ulong(uint64(about.MaxPIN))
	w.ulong(uint64(about.MinPIN))
	for range 4 { // total and free memory, public and private
		w.ulong(unavailable)
	}
	w.version([2]byte{})
	w.version([2]byte{})
	w.padded("", 16) // no clock
	return ckrOK
}

// countWrite is how many read/write sessions there are with the token in a slot.
func (c *client) countWrite(slot uint64) (n int) {
	for _, s := range c.sessions {
		if s.slot.id == slot && s.write {
			n++
		}
	}
	return n
}
