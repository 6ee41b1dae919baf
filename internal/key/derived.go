package key

import "context"

// DerivesPIN reports whether the card that holds a key takes its PINs only in
// key derived format, which PKCS#11 modules do not make.
func DerivesPIN(ctx context.Context, k Key) (bool, error) {
	onCard, ok := k.(*openPGPKey)
	if !ok {
		return false, nil
	}
	derives, err := onCard.card.DerivesPasswords(ctx)
	if err != nil {
		return false, Explain(err, onCard.ref.String(), "")
	}
	return derives, nil
}
