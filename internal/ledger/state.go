package ledger

import (
	"slices"

	"github.com/cardctl/cardctl/internal/problem"
)

// State is where a card is in its life.
type State string

// The states of a card.
const (
	Stock     State = "stock"
	Issuing   State = "issuing"
	Active    State = "active"
	Suspended State = "suspended"
	Lost      State = "lost"
	Damaged   State = "damaged"
	Returned  State = "returned"
	Revoked   State = "revoked"
)

// States are all of them, in the order of a card's life.
func States() []State {
	return []State{Stock, Issuing, Active, Suspended, Lost, Damaged, Returned, Revoked}
}

// ParseState reads a state as it is typed.
func ParseState(text string) (State, error) {
	if s := State(text); slices.Contains(States(), s) {
		return s, nil
	}
	return "", problem.New(problem.Usage, "unknown state: %s", text).
		Because("Valid states: %s.", listed(States()))
}

// next are the states that follow one. A card that is initialised becomes stock again
// from those in blank.
func (s State) next() []State {
	switch s {
	case Stock:
		return []State{Issuing}
	case Issuing:
		return []State{Active, Damaged}
	case Active:
		return []State{Suspended, Lost, Damaged, Returned, Revoked}
	case Suspended:
		return []State{Active, Lost, Damaged, Returned, Revoked}
	case Lost:
		return []State{Returned}
	}
	return nil
}

// blank reports whether a card in this state becomes stock when it is initialised.
func (s State) blank() bool { return s == Returned || s == Damaged || s == Issuing }

// Ended reports whether a card in this state was somebody's, and is for somebody else once
// it is erased.
func (s State) Ended() bool { return s == Returned || s == Damaged }

// Held reports whether a card in this state is somebody's.
func (s State) Held() bool { return s == Issuing || s == Active || s == Suspended || s == Lost }

// Reason is why certificates of a card that goes into this state are revoked (CRLReason,
// RFC 5280, 5.3.1); empty if they are not.
func (s State) Reason() string {
	switch s {
	case Suspended:
		return "certificateHold"
	case Lost:
		return "keyCompromise"
	case Damaged:
		return "unspecified"
	case Returned:
		return "cessationOfOperation"
	case Revoked:
		return Superseded
	}
	return ""
}

// Superseded is why certificates of a card that another one replaces are revoked.
const Superseded = "superseded"

// to refuses a state that does not follow.
func (s State) to(next State, serial string) error {
	if next == s || slices.Contains(s.next(), next) {
		return nil
	}
	p := problem.New(problem.Refused, "card %s: it is %s, and cannot become %s", serial, s, next)
	if s.blank() && (next == Stock || len(s.next()) == 0) {
		return p.Because("It becomes stock again when it is initialised.")
	}
	if len(s.next()) == 0 {
		return p.Because("No state follows %s.", s)
	}
	return p.Because("After %s there are: %s.", s, listed(s.next()))
}

func listed(states []State) string {
	text := ""
	for i, s := range states {
		if i > 0 {
			text += ", "
		}
		text += string(s)
	}
	return text
}
