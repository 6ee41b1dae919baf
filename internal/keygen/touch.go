package keygen

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// TouchReport is what SetTouch did. Unchanged says that the key had the policy before.
type TouchReport struct {
	Reader    string    `json:"reader"`
	Ref       string    `json:"ref"`
	Policy    key.Touch `json:"touchPolicy"`
	Previous  key.Touch `json:"previous"`
	Unchanged bool      `json:"unchanged"`
}

// TouchPolicies are the words for SetTouch.
func TouchPolicies() []string { return key.Touches() }

// SetTouch sets when a use of a key on the card that is meant needs a touch.
func SetTouch(ctx context.Context, d *desk.Desk, a desk.Access, reference, word string) (report TouchReport, err error) {
	policy, err := key.ParseTouch(word)
	if err != nil {
		return report, err
	}
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		report, err = SetTouchOn(ctx, k, policy, here.Access.Confirm)
		report.Reader = here.Place
		return err
	})
	return report, err
}

// SetTouchOn sets the policy of a key. A person confirms what cannot be undone.
func SetTouchOn(ctx context.Context, k key.Key, policy key.Touch, confirm desk.Confirm) (TouchReport, error) {
	report := TouchReport{Ref: k.Reference().String(), Policy: policy}
	able, ok := k.(key.TouchSetter)
	if !ok {
		return report, withoutTouch(k)
	}
	var err error
	if report.Previous, err = able.Touch(ctx); err != nil {
		return report, err
	}
	report.Unchanged = report.Previous == policy
	switch {
	case report.Unchanged:
		return report, nil
	case report.Previous.Permanent():
		return report, problem.New(problem.NotSupported, "the touch policy of this key is permanent").
			Because("It is %s. Only erasing the card, or on some cards a new key, changes it.", report.Previous).
			Advise(advice.Do(advice.ShowCard))
	case policy.Permanent():
		if err := confirm.Ask(ctx, permanently(k, policy)); err != nil {
			return report, err
		}
	}
	return report, able.SetTouch(ctx, policy)
}

func permanently(k key.Key, policy key.Touch) advice.Question {
	return advice.Question{
		Deed: "Permanently require a touch for", Subject: k.Reference().String() + " (" + string(policy) + ")",
		Lost: "Only erasing the card, or on some cards a new key, undoes this.",
	}
}

// withoutTouch is a key whose policy does not change.
func withoutTouch(k key.Key) error {
	p := problem.New(problem.NotSupported, "the touch policy of this key cannot be changed")
	with, keeps := k.(key.WithPolicies)
	if keeps {
		_, touches := with.Policies()
		keeps = len(touches) > 0
	}
	if !keeps {
		return p.Because("The card has no touch policies.").Advise(advice.Do(advice.ShowCard))
	}
	return p.Because("A key on this card gets its touch policy when it is generated.").
		Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, k.Reference().String()), advice.Fill(advice.TouchPolicy)))
}
