package key

import (
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Touch is when a use of a key needs somebody to touch the card.
type Touch string

// The policies that can be set for a key on a card. A cached touch is enough for some
// seconds. A permanent policy stays as long as the key does.
const (
	TouchOff             Touch = "off"
	TouchOn              Touch = "on"
	TouchCached          Touch = "cached"
	TouchPermanent       Touch = "permanent"
	TouchPermanentCached Touch = "permanent-cached"
)

// Touches lists them.
func Touches() []string {
	return []string{string(TouchOn), string(TouchOff), string(TouchCached), string(TouchPermanent), string(TouchPermanentCached)}
}

// Permanent reports whether the policy cannot be changed again.
func (t Touch) Permanent() bool { return t == TouchPermanent || t == TouchPermanentCached }

// ParseTouch reads what a user types.
func ParseTouch(word string) (Touch, error) {
	if !slices.Contains(Touches(), word) {
		return "", problem.New(problem.Usage, "unknown touch policy").Because("Valid policies: %s.", strings.Join(Touches(), ", ")).
			Advise(advice.Repeat().On(string(TouchOn)))
	}
	return Touch(word), nil
}
