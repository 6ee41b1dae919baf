package key

import "context"

// Mover is a key that can be moved to another place of its card, with its certificate.
type Mover interface {
	Key
	// Free is a place for keys that are no longer used, that is empty or to which an
	// interrupted Move was on its way; a problem.NotFound where there is none.
	Free(ctx context.Context) (Reference, error)
	// Move moves the key to an empty place. What an interrupted Move to the same place
	// left is completed.
	Move(ctx context.Context, to Reference) (*Moved, error)
}

// Moved is what Move did.
type Moved struct {
	// Key is at its new place.
	Key Key
	// Certificate moved with it, in DER; nil where there was none.
	Certificate []byte
	// Finished says that an interrupted command had moved the key.
	Finished bool
}

// Deleter is a key of a card on which only some keys can be deleted.
type Deleter interface {
	// Deletable is a problem.NotSupported that says what to do instead, before anybody
	// is asked.
	Deletable(ctx context.Context) error
}

// Receiver is a key of a card that may take no private keys from outside.
type Receiver interface {
	// Receives is a problem.NotSupported of such a card, before anybody is asked.
	Receives(ctx context.Context) error
}

// Irreplaceable is a place whose contents nothing brings back, once they are overwritten.
type Irreplaceable interface {
	// LostForGood says so in a sentence; empty for another place.
	LostForGood() string
}

// LostForGood is what a person has to know of a place that nothing restores; empty for
// another.
func LostForGood(k Key) string {
	if place, ok := k.(Irreplaceable); ok {
		return place.LostForGood()
	}
	return ""
}

// Paired is a place that takes the certificate of a key that is imported.
type Paired interface{ TakesCertificate() bool }
