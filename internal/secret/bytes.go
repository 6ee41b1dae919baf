// Package secret holds PINs and passwords: bytes that never print, their
// sources, and wiping. Nothing else in the program ever holds one. When a PIN
// may be sent is left to package pin.
package secret

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Bytes is a secret. Every formatting verb, JSON and text encoding of it shows
// a placeholder. The zero value is an empty secret.
type Bytes struct {
	b       []byte
	release func() // gives back memory that is not Go's; nil for none
}

const placeholder = "[secret]"

// New takes b over: the caller must not keep it, and Wipe overwrites it.
func New(b []byte) *Bytes { return &Bytes{b: b} }

// Reveal returns the bytes themselves, valid until Wipe. The caller must not
// keep them, and wipes every copy it makes.
func (s *Bytes) Reveal() []byte {
	if s == nil {
		return nil
	}
	return s.b
}

// Clone is a copy with a life of its own; nil of nil.
func (s *Bytes) Clone() *Bytes {
	if s == nil {
		return nil
	}
	return New(bytes.Clone(s.b))
}

// Len is the length in bytes, 0 for nil.
func (s *Bytes) Len() int { return len(s.Reveal()) }

// Characters is the length in UTF-8 characters, which is what a person counts.
func (s *Bytes) Characters() int { return utf8.RuneCount(s.Reveal()) }

// Wipe overwrites the secret with zeros and empties it. It may be called on
// nil and more than once.
func (s *Bytes) Wipe() {
	if s == nil {
		return
	}
	Wipe(s.b)
	s.b = nil
	if s.release != nil {
		s.release()
		s.release = nil
	}
}

// Wipe overwrites a copy of a secret.
func Wipe(b []byte) { clear(b) }

func (s Bytes) String() string               { return placeholder }
func (s Bytes) GoString() string             { return placeholder }
func (s Bytes) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(placeholder)) }
func (s Bytes) MarshalText() ([]byte, error) { return []byte(placeholder), nil }
