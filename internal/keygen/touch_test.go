package keygen

import (
	"context"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// touchKey is a key with a touch policy.
type touchKey struct {
	fakeKey
	policy key.Touch
}

func (k *touchKey) Touch(context.Context) (key.Touch, error) { return k.policy, nil }

func (k *touchKey) SetTouch(_ context.Context, policy key.Touch) error {
	k.policy = policy
	return nil
}

// What cannot be undone is confirmed, and what cannot be changed is not tried.
func TestAPermanentTouchPolicyIsConfirmed(t *testing.T) {
	for _, c := range []struct {
		before, wish key.Touch
		asks, fails  bool
	}{
		{key.TouchOff, key.TouchOn, false, false},
		{key.TouchOn, key.TouchCached, false, false},
		{key.TouchOn, key.TouchPermanent, true, false},
		{key.TouchCached, key.TouchPermanentCached, true, false},
		{key.TouchPermanent, key.TouchPermanent, false, false},
		{key.TouchPermanent, key.TouchOff, false, true},
		{key.TouchPermanentCached, key.TouchPermanent, false, true},
	} {
		for _, agrees := range []bool{true, false} {
			k, asked := &touchKey{policy: c.before}, false
			report, err := SetTouchOn(t.Context(), k, c.wish, func(context.Context, desk.Question) error {
				asked = true
				if !agrees {
					return problem.New(problem.Refused, "not confirmed")
				}
				return nil
			})
			want := c.wish
			if c.fails || c.asks && !agrees {
				want = c.before
			}
			if asked != c.asks || k.policy != want || (err != nil) != (c.fails || c.asks && !agrees) || report.Unchanged != (c.before == c.wish) {
				t.Errorf("%s to %s, agrees %v: asked %v, now %s, %+v, %v", c.before, c.wish, agrees, asked, k.policy, report, err)
			}
		}
	}
	if _, err := SetTouchOn(t.Context(), &fakeKey{}, key.TouchOn, nil); !problem.Is(err, problem.NotSupported) {
		t.Errorf("a key without policies: %v", err)
	}
	if _, err := key.ParseTouch("always"); !problem.Is(err, problem.Usage) || !slices.Contains(key.Touches(), "cached") {
		t.Errorf("%v", err)
	}
}
