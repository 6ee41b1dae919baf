package pkcs15

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Tries is how many tries a PIN has left; -1 where the card does not tell. A
// native card is asked; of another card the directory tells, as it was read.
func (c *Card) Tries(ctx context.Context, p PIN) (int, error) {
	if c.native == nil {
		d, err := c.Directory(ctx)
		if err != nil {
			return 0, err
		}
		if now := d.PIN(p.ID); now != nil {
			return now.TriesLeft, nil
		}
		return -1, nil
	}
	tries := -1
	err := c.direct(ctx, func() (err error) {
		tries, err = c.native.tries(ctx, p)
		return err
	})
	return tries, c.explain(err, "reading the tries left")
}

// ChangePIN changes the value of a PIN.
func (c *Card) ChangePIN(ctx context.Context, p PIN, old, replacement *secret.Bytes) error {
	defer c.Forget()
	if c.native == nil {
		_, err := c.tool(ctx, call{program: "pkcs15-tool", args: []string{"--change-pin", "--auth-id", p.ID}, secrets: []handover{
			{"--pin", old}, {"--new-pin", replacement},
		}})
		return c.judge(ctx, err, p, "changing the "+p.Name())
	}
	return c.pinCommand(ctx, p, "changing the PIN", func() error { return c.native.change(ctx, p, old, replacement) })
}

// UnblockPIN gives a PIN its tries back, and a new value. byPUK is the PIN's
// PUK.
func (c *Card) UnblockPIN(ctx context.Context, p, byPUK PIN, puk, replacement *secret.Bytes) error {
	defer c.Forget()
	if c.native == nil {
		_, err := c.tool(ctx, call{program: "pkcs15-tool", args: []string{"--unblock-pin", "--auth-id", p.ID}, secrets: []handover{
			{"--puk", puk}, {"--new-pin", replacement},
		}})
		return c.judge(ctx, err, byPUK, "unblocking the "+p.Name())
	}
	return c.pinCommand(ctx, byPUK, "unblocking the "+p.Name(), func() error { return c.native.unblock(ctx, p, puk, replacement) })
}

// PUK is what unblocks a PIN: lengths in bytes, 0 where they are not known; how
// many tries it has left as far as the card tells.
func (c *Card) PUK(ctx context.Context, p PIN) (PIN, error) {
	limits := c.FirstPUK()
	limits.Reference = p.Reference
	if c.myEID == nil {
		return limits, nil
	}
	err := c.direct(ctx, func() (err error) {
		limits.TriesLeft, err = c.myEID.tries(ctx, limits)
		return err
	})
	return limits, c.explain(err, "reading the tries left")
}

// FirstSOPIN is the SO PIN of a card that has none yet: lengths in bytes, as far
// as they are known.
func (c *Card) FirstSOPIN() PIN {
	p := PIN{SO: true, Min: 1, TriesLeft: -1}
	if c.myEID != nil {
		p.Min, p.Max = myEIDMinPIN, myEIDMaxPIN
	}
	return p
}

// UserPINWrites reports whether certificates are written with the user PIN,
// whichever PIN a key has.
func (c *Card) UserPINWrites() bool { return c.myEID != nil }

// NeedsPUK reports whether the card takes no PIN without a PUK.
func (c *Card) NeedsPUK() bool { return c.myEID != nil }

// FirstPUK is the PUK of a card that has none yet.
func (c *Card) FirstPUK() PIN {
	p := PIN{Label: "PUK", Unblocking: true, TriesLeft: -1}
	switch {
	case c.applet != nil:
		p.Reference, p.Min, p.Max = appletPUK, appletPUKLen, appletPUKLen
	case c.myEID != nil:
		p.Min, p.Max = myEIDMinPIN, myEIDMaxPIN
	}
	return p
}

// FirstPIN is the user PIN of a card that has none yet.
func (c *Card) FirstPIN() PIN {
	if c.applet != nil {
		return appletUserPIN()
	}
	const least, most = 4, 8 // of OpenSC's general profile
	return PIN{ID: "01", Label: "User PIN", Reference: 1, Min: least, Max: most, TriesLeft: -1}
}

// pinCommand sends a PIN to a native card; what it answers tells the tries left of
// p.
func (c *Card) pinCommand(ctx context.Context, p PIN, what string, send func() error) error {
	err := c.direct(ctx, func() error {
		if err := c.native.ready(ctx); err != nil {
			return err
		}
		return send()
	})
	if wrong := refused(p, err); wrong != nil {
		return wrong
	}
	return c.explain(err, what)
}

// refused is the error of a PIN that the card did not take; nil for any other
// answer.
func refused(p PIN, err error) error {
	status := iso7816.StatusOf(err)
	left, counted := status.TriesLeft()
	if !counted && status != iso7816.StatusPINBlocked {
		return nil
	}
	p.TriesLeft = left
	return wrongPIN(p, err)
}

// CheckLength refuses a PIN that the card would count as a wrong one for its
// length alone.
func (p PIN) CheckLength(pin *secret.Bytes) error {
	n := pin.Len()
	if n >= p.Min && (p.Max == 0 || n <= p.Max) {
		return nil
	}
	tooWhat := "short"
	if n > p.Min {
		tooWhat = "long"
	}
	length := problem.New(problem.Usage, "the %s must have %d to %d bytes", p.Name(), p.Min, p.Max)
	if p.Min == p.Max {
		length = problem.New(problem.Usage, "the %s must have exactly %d bytes", p.Name(), p.Min)
	}
	return length.Because("What was given is too %s; it was not sent to the card.", tooWhat)
}

// CheckTries refuses a PIN that is blocked, or would be after one more mistake.
func (p PIN) CheckTries(allowLast bool) error {
	switch {
	case p.TriesLeft == 0:
		return problem.New(problem.PINBlocked, "the %s is blocked", p.Name()).WithTries(0).
			Because("It was entered wrongly too often.").Hint("%s", p.wayOut())
	case p.TriesLeft == 1 && !allowLast:
		return problem.New(problem.PINBlocked, "one try is left for the %s, and it was not sent", p.Name()).WithTries(1).
			Because("A mistake would block it.").Hint("the same command with --allow-last-try")
	}
	return nil
}

// wayOut is what to do where the PIN is blocked.
func (p PIN) wayOut() string {
	switch {
	case p.Unblocking:
		return "cardctl init --app pkcs15, which erases the card"
	case p.SO:
		return "cardctl unblock-pin so --puk prompt --new-pin prompt, where its PUK is known"
	}
	return "cardctl unblock-pin user --puk prompt --new-pin prompt"
}

// Note is what a person at a prompt has to know of the PIN.
func (p PIN) Note() string {
	if p.TriesLeft < 0 {
		return ""
	}
	return triesNote(p.TriesLeft)
}
