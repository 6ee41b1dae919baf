package key

import "context"

// Renewal is what becomes of the identifier of a card when its certificates change.
type Renewal int

// The choices. The first renews it where nothing else depends on it.
const (
	RenewIfFree Renewal = iota
	KeepIdentifier
	RenewAnyway
)

// Identified is a key of a card by whose identifier (CHUID) programs notice that its
// certificates changed.
type Identified interface {
	// RenewIdentifier gives the card another one, after Manage was needed for the
	// certificate. It is nil where the user keeps it.
	RenewIdentifier(ctx context.Context, r Renewal) (*Identifier, error)
}

// Identifier is what became of it.
type Identifier struct {
	Renewed bool `json:"renewed"`
	// Why says in a sentence why it stays; empty where it was renewed.
	Why string `json:"reason,omitempty"`
}
