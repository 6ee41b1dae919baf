package key

import (
	"context"
	"slices"
)

// Able lists the algorithms that the place of a key can have, as far as its card
// or token tells without a PIN.
func Able(ctx context.Context, k Key) ([]Algorithm, error) {
	can := func(Algorithm) bool { return true }
	switch k := k.(type) {
	case *tokenKey:
		token, err := k.session.TokenInFull(ctx)
		if err != nil {
			return nil, Explain(err, k.ref.String(), "")
		}
		can = func(a Algorithm) bool { return token.Makes(string(a)) }
	case *pkcs15Key:
		can = func(a Algorithm) bool { return k.card.CheckAlgorithm(ctx, string(a)) == nil }
	case *openPGPKey:
		data, err := k.card.ApplicationRelatedData(ctx)
		if err != nil {
			return nil, Explain(err, k.ref.String(), "")
		}
		listed, err := k.able(ctx)
		if err != nil {
			return nil, Explain(err, k.ref.String(), "")
		}
		var names []string
		for _, attributes := range listed {
			names = append(names, attributes.Name())
		}
		can = func(a Algorithm) bool {
			return checkAlgorithm(data, k.slot, a) == nil && (len(names) == 0 || slices.Contains(names, string(a)))
		}
	}
	return slices.DeleteFunc(Algorithms(), func(a Algorithm) bool { return !can(a) }), nil
}
