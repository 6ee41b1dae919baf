package key

import "context"

// Serial is the serial number of the card or token that holds a key, as info shows it;
// empty where the key does not tell.
func Serial(ctx context.Context, k Key) (string, error) {
	if onToken, ok := k.(*tokenKey); ok {
		return onToken.session.Token().Serial, nil
	}
	if onCard, ok := k.(*pkcs15Key); ok {
		token, err := onCard.card.Token(ctx)
		if err != nil {
			return "", onCard.explain(err, "")
		}
		return token.Serial, nil
	}
	onCard, ok := k.(*openPGPKey)
	if !ok {
		return "", nil
	}
	data, err := onCard.card.ApplicationRelatedData(ctx)
	if err != nil {
		return "", Explain(err, onCard.ref.String(), "")
	}
	return data.AID.Serial(), nil
}

// CardDriver is OpenSC's name for the driver of the card that holds a key; empty
// where it is not known.
func CardDriver(k Key) string {
	switch k := k.(type) {
	case *openPGPKey:
		return "openpgp"
	case *pkcs15Key:
		return k.card.Driver()
	}
	return ""
}
