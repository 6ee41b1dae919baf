package provision

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"

	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/secret"
)

// The characters of generated secrets. Letters that are taken for digits on paper are left
// out.
const (
	digits  = "0123456789"
	letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
)

// generate makes a random secret. That of a management key has the length of its
// algorithm, in hex.
func generate(g *plan.Generate, key *plan.ManagementKey) (*secret.Bytes, error) {
	switch g.Of {
	case plan.ManagementKeyBytes:
		raw := make([]byte, keyLength(key))
		defer secret.Wipe(raw)
		_, _ = rand.Read(raw) // never fails
		text := make([]byte, hex.EncodedLen(len(raw)))
		hex.Encode(text, raw)
		return secret.New(text), nil
	case plan.Letters:
		return random(letters, g.Count)
	}
	return random(digits, g.Count)
}

// keyLength is that of a management key, in bytes.
func keyLength(key *plan.ManagementKey) int {
	switch {
	case key == nil:
	case key.Algorithm == "aes256":
		return 32
	case key.Algorithm == "aes128":
		return 16
	}
	return 24 // AES-192 and 3DES, which cards come with
}

// random is a secret of n characters of an alphabet. A run of one character, or of
// neighbours, is what cards refuse, and people guess.
func random(alphabet string, n int) (*secret.Bytes, error) {
	value := make([]byte, n)
	for {
		for i := range value {
			at, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
			if err != nil {
				return nil, err
			}
			value[i] = alphabet[at.Int64()]
		}
		if !guessable(value) {
			return secret.New(value), nil
		}
	}
}

// guessable reports whether each character has the same distance from the one before it.
func guessable(value []byte) bool {
	for i := 2; i < len(value); i++ {
		if value[i]-value[i-1] != value[i-1]-value[i-2] {
			return false
		}
	}
	return true
}
