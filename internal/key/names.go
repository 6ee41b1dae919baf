package key

import "context"

// Names are what OpenSC's module calls a key, and the token that it makes of the PIN of the
// key, where that is the same for all cards of a kind.
type Names struct {
	// ID is the one of key and certificate, Label that of the key.
	ID    []byte
	Label string
	// Token is the label of the token, Maker its manufacturer.
	Token, Maker string
	// AID is that of an OpenPGP card, 16 bytes with its serial number (OpenPGP card 3.4,
	// 4.2.1); nil for other cards.
	AID []byte
}

// Namer is a key that knows them.
type Namer interface{ Names() Names }

// TokenNamer is a key that reads from its card what OpenSC's module calls the token; empty
// where that is not certain.
type TokenNamer interface {
	TokenLabel(ctx context.Context) (string, error)
}
