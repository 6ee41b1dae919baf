package keygen

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/pem"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// maxRounds bounds the rounds of bcrypt; ssh-keygen has 16 or 24 if it is not told.
const maxRounds = 2000

// maxOpenSSH bounds the length of a key in bytes: one of RSA with 16,384 bits has 10,000,
// and to check a much longer one takes minutes.
const maxOpenSSH = 16 << 10

// parseOpenSSH reads OpenSSH's own format (PROTOCOL.key).
func parseOpenSSH(ctx context.Context, data []byte, ask secret.Asker) (crypto.PrivateKey, error) {
	rounds, ok := bcryptRounds(data)
	if !ok {
		return nil, damaged("the OpenSSH private key", nil)
	}
	if rounds > maxRounds {
		return nil, tooMuchWork("the OpenSSH private key").Because("It was encrypted with %d rounds, and %d are the most.", rounds, maxRounds)
	}
	if len(data) > maxOpenSSH {
		return nil, tooMuchWork("the OpenSSH private key").Because("It has %d bytes, and %d are the most.", len(data), maxOpenSSH)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: data})
	defer secret.Wipe(text)
	private, err := ssh.ParseRawPrivateKey(text)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		password, asked := ask(ctx, passwordOf("the private key"))
		if asked != nil {
			return nil, asked
		}
		defer password.Wipe()
		private, err = input.Interruptible(ctx, func() (any, error) {
			return ssh.ParseRawPrivateKeyWithPassphrase(text, password.Reveal())
		}, nil)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, wrongPassword(err)
		}
	}
	if err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, "this OpenSSH private key cannot be imported").
			Because("It is of another type than %s, or lives on a security key.", "RSA, ECDSA and Ed25519")
	}
	if edwards, ok := private.(*ed25519.PrivateKey); ok {
		return *edwards, nil
	}
	return private, nil
}

// bcryptRounds are those of an encrypted key, 0 of another one.
func bcryptRounds(data []byte) (rounds uint32, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte("openssh-key-v1\x00"))
	if !ok {
		return 0, false
	}
	var cipher, kdf, options, salt cryptobyte.String
	input := cryptobyte.String(rest)
	if !readString(&input, &cipher) || !readString(&input, &kdf) || !readString(&input, &options) {
		return 0, false
	}
	if string(kdf) != "bcrypt" {
		return 0, true
	}
	return rounds, readString(&options, &salt) && options.ReadUint32(&rounds)
}

// readString reads a string with a length of 32 bits (RFC 4251, 5).
func readString(from, value *cryptobyte.String) bool {
	var length uint32
	return from.ReadUint32(&length) && int64(length) <= int64(len(*from)) && from.ReadBytes((*[]byte)(value), int(length))
}
