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
}

// Namer is a key that knows them.
type Namer interface{ Names() Names }

// Verifier is a key whose PIN can be verified before it is used.
type Verifier interface {
	// VerifyPIN has it verified, unless it is.
	VerifyPIN(ctx context.Context) error
}
