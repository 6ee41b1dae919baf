package pin

import "fmt"

// Tries is what is known of the tries that a PIN has left. The zero value is
// unknown.
type Tries struct {
	left  int
	state triesState
}

type triesState int

const (
	unknown triesState = iota
	counted
	several
	few
)

// Left is a number that the card told.
func Left(n int) Tries { return Tries{left: n, state: counted} }

// Several is more than one, of a token that does not count aloud.
func Several() Tries { return Tries{state: several} }

// Few is more than one, of such a token that was given a wrong PIN last.
func Few() Tries { return Tries{state: few} }

// Unknown is what nothing tells. It is not enough for a PIN to be sent.
func Unknown() Tries { return Tries{} }

// OfNumber is the number as documents have it, the reverse of Number.
func OfNumber(n int) Tries {
	if n < 0 {
		return Unknown()
	}
	return Left(n)
}

// Known reports whether anything is known.
func (t Tries) Known() bool { return t.state != unknown }

// Count is the number, where it was told.
func (t Tries) Count() (n int, told bool) { return t.left, t.state == counted }

// Number is the number as documents have it: -1 where it is not told.
func (t Tries) Number() int {
	if t.state != counted {
		return -1
	}
	return t.left
}

// None reports whether the PIN is blocked.
func (t Tries) None() bool { return t.state == counted && t.left == 0 }

// Last reports whether one try is left.
func (t Tries) Last() bool { return t.state == counted && t.left == 1 }

// LastButOne reports whether one more wrong entry leaves a single try, as far as is known.
func (t Tries) LastButOne() bool { return t.state == few || t.state == counted && t.left == 2 }

// FewerThan reports whether a try was lost since before.
func (t Tries) FewerThan(before Tries) bool {
	switch {
	case t.state == counted && before.state == counted:
		return t.left < before.left
	case t.state == counted && (before.state == several || before.state == few):
		return t.left <= 1
	}
	return false
}

// uncounted reports whether both are numbers and no try was lost since before.
func (t Tries) uncounted(before Tries) bool {
	return t.state == counted && before.state == counted && t.left >= before.left
}

// Note is what a person at a prompt has to know, nothing where nothing is told.
func (t Tries) Note() string {
	switch {
	case t.state == few:
		return "the last PIN entered was wrong, few tries left"
	case t.state != counted:
		return ""
	case t.left == 1:
		return "1 try left"
	}
	return fmt.Sprintf("%d tries left", t.left)
}
