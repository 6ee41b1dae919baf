package certstore

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"golang.org/x/crypto/ssh"
)

// FuzzSSHLine writes a public key with arbitrary comments, such as the name of
// a card's holder: it stays one line, and the key that it was.
func FuzzSSHLine(f *testing.F) {
	for _, seed := range []string{"Floppy Head", "a\nssh-rsa AAAA", "\x00", "", "  a\tb "} {
		f.Add([]byte(seed), seed)
	}
	f.Fuzz(func(t *testing.T, seed []byte, comment string) {
		var private [ed25519.SeedSize]byte
		copy(private[:], seed)
		public := ed25519.NewKeyFromSeed(private[:]).Public()
		line, err := ExportPublicKey(public, SSH, comment)
		if err != nil {
			t.Fatal(err)
		}
		got, _, options, rest, err := ssh.ParseAuthorizedKey(line)
		want, wantErr := ssh.NewPublicKey(public)
		if err != nil || wantErr != nil || len(options) > 0 || len(rest) > 0 || !bytes.Equal(got.Marshal(), want.Marshal()) {
			t.Errorf("%q: %q, %v", comment, line, err)
		}
		if bytes.Count(line, []byte{'\n'}) != 1 || line[len(line)-1] != '\n' {
			t.Errorf("%q: %q", comment, line)
		}
	})
}
