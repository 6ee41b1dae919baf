package p11

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// The same token: what was chosen is a token, and what functions are given is the
// number of a slot. Between the two a person reads a question or types a PIN, and
// the token may move to another slot, or another one may come into this. So the
// token is compared right before everything that changes it or carries a PIN.

// identity is what a token is known by when it is seen again in its slot.
type identity struct {
	place       string // the slot's description: of a card, the name of its reader
	serial      string
	label       string
	maker       string
	model       string
	initialized bool
}

// identity leaves out the label of a token that is not initialised: it has none
// yet, whatever the module fills the field with. The place counts where it was
// known before.
func (t Token) identity(placed bool) identity {
	i := identity{t.SlotDescription, t.Serial, t.Label, t.Manufacturer, t.Model, t.Initialized}
	if !placed {
		i.place = ""
	}
	if !t.Initialized {
		i.label = ""
	}
	return i
}

// Look is the token as it is now, the flags of its PINs among it. It is a
// problem with the exit status of a card that was removed where the token is not
// in its slot any more, or another one is.
func (m *Module) Look(ctx context.Context, was Token) (Token, error) {
	// OpenSC looks for cards here, and keeps its answer to C_GetTokenInfo.
	slots, err := call(ctx, m, "C_GetSlotList", m.library.knownSlots)
	if err != nil {
		return was, err
	}
	if !slices.Contains(slots, was.Slot) {
		return was, m.wentAway(was, nil)
	}
	now, err := call(ctx, m, "C_GetTokenInfo", func() (Token, error) { return m.state(was.Slot) })
	switch {
	case CodeOf(err).isGone():
		return was, m.wentAway(was, err)
	case CodeOf(err).isVague(): // SoftHSM's answer for a token that was deleted
		return was, m.wentAway(was, err).Because("Its slot no longer reports it [%s].", CodeOf(err).Name())
	case err != nil:
		return was, err
	case now.identity(was.placed) != was.identity(was.placed):
		return was, m.changed(was, now)
	}
	return now, nil
}

// same looks at the token before something is sent to it.
func (m *Module) same(ctx context.Context, t Token) error {
	_, err := m.Look(ctx, t)
	return err
}

// changed is for another token in the slot of the one that was chosen.
func (m *Module) changed(was, now Token) *problem.Error {
	return problem.New(problem.CardChanged, "%s: slot %d no longer holds the token %q (serial %q)", m.name(), was.Slot, was.Label, was.Serial).
		Because("The slot now holds %s.", now.described()).
		Advise(m.list())
}

func (t Token) described() string {
	if !t.Initialized {
		return fmt.Sprintf("a token that is not initialised (serial %q)", t.Serial)
	}
	return fmt.Sprintf("the token %q (serial %q)", t.Label, t.Serial)
}

// recent is how long a look at the token, or an answer from its session, holds
// for the next PIN: PKCS#11 ends the sessions of a token that is removed. A look
// costs commands of the card, so that there is none where no time passed.
const recent = 2 * time.Second

func (s *Session) isRecent() bool { return !s.seen.IsZero() && time.Since(s.seen) < recent }

// same is Module.same for the token of the session.
func (s *Session) same(ctx context.Context) error {
	now, err := s.module.Look(ctx, s.token)
	if err == nil {
		s.token, s.seen, s.looked = now, time.Now(), time.Now()
	}
	return err
}

// hasLooked reports whether what the token says of its PINs is as it was a moment
// ago, and no PIN was sent since.
func (s *Session) hasLooked() bool { return !s.looked.IsZero() && time.Since(s.looked) < recent }

// ready is same before a PIN. Where time passed, the token may have ended the
// session as well, which is then opened again: nobody has to find that out with
// a PIN.
func (s *Session) ready(ctx context.Context) error {
	waited := !s.seen.IsZero() && !s.isRecent()
	if err := s.same(ctx); err != nil || !waited {
		return err
	}
	_, err := call(ctx, s.module, "C_GetSessionInfo", func() (uint, error) { return s.module.library.sessionState(s.handle) })
	if CodeOf(err).isLost() {
		return s.reopen(ctx)
	}
	return nil // what else it says of itself, C_Login will tell
}
