// Package agent is one process that holds cards and tokens, so that every program uses them
// at once. The keeper opens a card when somebody needs it, keeps what it read, has one PIN
// for all, and lets the card go after the last operation. How programs ask is left to the
// doors, each a protocol, in folders of their own; what a key is on its card to its family.
package agent

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// Tokens is what a door sees: the cards and tokens that are there.
type Tokens interface {
	// All are the tokens that are there now, in the order in which they came.
	All(ctx context.Context) ([]Token, error)
	// Version counts the changes of All.
	Version() uint64
	// Wait waits until Version is another one than before, or for the end of ctx.
	Wait(ctx context.Context, before uint64) error
}

// Token is a card or a token. One that was taken out answers with a problem.CardRemoved,
// for ever: what is inserted later is another Token.
type Token interface {
	About() About
	// Keys are those that can be used, read once.
	Keys(ctx context.Context) ([]Key, error)
	// Objects are data objects of an OpenPGP card by their tags, read now: 5B, 5E, 5F2D, 5F35
	// and 5F50 of its owner, the signature counter 93, the user interaction flags D6 to D8, and
	// the KDF F9. Those that the card does not have are not there, nor any of other cards.
	Objects(ctx context.Context) (map[uint32][]byte, error)
	// Ready reports whether the next use of a key asks nobody for a PIN.
	Ready() bool
	// Forget drops the PIN.
	Forget()
}

// About is what a token is.
type About struct {
	// Number tells it from all others of this process, those that were taken out too.
	Number uint64
	// Kind is what a person calls it: "OpenPGP card". Serial is its serial number, as info
	// shows it, Label what OpenSC's module calls the token, or the label of a token.
	Kind, Serial, Label string
	// Maker and Model are those that PKCS#11 programs see.
	Maker, Model string
	// ModuleSerial is the serial number as OpenSC's module, or that of the token, writes it;
	// empty for as Serial is.
	ModuleSerial string
	// Reader is where it is.
	Reader string
	// AID is the application identifier of an OpenPGP card, 16 bytes; nil of others.
	// Tries are those left on it: of PW1, of the resetting code and of PW3; nil where that
	// is not known.
	AID   []byte
	Tries []int
	// MinPIN and MaxPIN are the lengths of the PIN in bytes; 0 where that is not known.
	MinPIN, MaxPIN int
}

// Key is a key of a token. Its methods ask for the PIN if that is needed, and let several
// programs use the card one after the other.
type Key interface {
	About() KeyAbout
	// Login has the PIN of the key asked for and verified now: its first use does so by itself.
	Login(ctx context.Context, by Client) error
	// Sign makes a signature of a digest, or of a message with Ed25519: PKCS #1 v1.5, PSS with
	// *rsa.PSSOptions, ECDSA in ASN.1, Ed25519. by is the program that asked.
	Sign(ctx context.Context, by Client, digest []byte, opts crypto.SignerOpts) ([]byte, error)
	// Decrypt decrypts an RSA ciphertext: PKCS #1 v1.5, or OAEP with *rsa.OAEPOptions.
	Decrypt(ctx context.Context, by Client, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error)
	// Derive agrees on a secret (ECDH): the x-coordinate, or the 32 bytes of X25519.
	Derive(ctx context.Context, by Client, peer crypto.PublicKey) ([]byte, error)
}

// KeyAbout is what a key is.
type KeyAbout struct {
	// Ref is its reference: OPENPGP.3. ID and Label are those that OpenSC's module gives it.
	// Token is what that module calls the token that it makes of the PIN of the key, if that
	// is not the token's Label.
	Ref   string
	ID    []byte
	Label string
	Token string
	// Public is an *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or *ecdh.PublicKey.
	Public crypto.PublicKey
	// Certificate is in DER, nil for none.
	Certificate []byte
	// What it does. PSS says that it makes RSASSA-PSS signatures too.
	Signs, Decrypts, Derives, PSS bool
	// Always says that the PIN is verified for each use.
	Always bool
	// Place is what the place of the key is for on an OpenPGP card: signature, decryption,
	// authentication; empty on others.
	Place string
	// Created is when it was made; zero where the card does not tell. Fingerprint is the
	// one that an OpenPGP card has of it, 20 bytes; nil where it has none.
	Created     time.Time
	Fingerprint []byte
}

// Client is a program that uses the agent.
type Client struct {
	// Door is the protocol that it speaks; Name and PID are those of its process, empty and 0
	// where they are not known.
	Door, Name string
	PID        int
}

// Asks says in a sentence that the program asks for something: "use OPENPGP.3".
func (c Client) Asks(what string) string {
	name := cmp.Or(c.Name, "A program")
	if c.PID > 0 {
		name = fmt.Sprintf("%s (process %d)", name, c.PID)
	}
	return fmt.Sprintf("%s asks to %s.", name, what)
}

// Login has the PIN of a token asked for and verified now: that of its first key, without those
// that want theirs for each use if there are others.
func Login(ctx context.Context, t Token, by Client) error {
	keys, err := t.Keys(ctx)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return problem.New(problem.NotFound, "%s has no key", t.About().Kind)
	}
	first := slices.IndexFunc(keys, func(k Key) bool { return !k.About().Always })
	return keys[max(first, 0)].Login(ctx, by)
}
