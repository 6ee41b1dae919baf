package piv

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// Algorithms of management keys (SP 800-78-5, table 5).
const (
	TripleDES Algorithm = 0x03
	AES128    Algorithm = 0x08
	AES192    Algorithm = 0x0A
	AES256    Algorithm = 0x0C
)

// ManagementAlgorithms are those that a management key of so many bytes can have, the
// older first; none for another length.
func ManagementAlgorithms(length int) []Algorithm {
	return slices.DeleteFunc(managementAlgorithms(), func(a Algorithm) bool { return a.ManagementLength() != length })
}

// ManagementAlgorithmNamed is the algorithm of a management key that Name calls so.
func ManagementAlgorithmNamed(name string) (algorithm Algorithm, ok bool) {
	for _, a := range managementAlgorithms() {
		if called, _ := a.Name(); called == name {
			return a, true
		}
	}
	return 0, false
}

func managementAlgorithms() []Algorithm { return []Algorithm{TripleDES, AES128, AES192, AES256} }

// ManagementLength is the length in bytes of a management key of this algorithm; 0 for
// another algorithm.
func (a Algorithm) ManagementLength() int {
	switch a {
	case AES128:
		return 16
	case TripleDES, AES192:
		return 24
	case AES256:
		return 32
	}
	return 0
}

// Errors of Manage.
var (
	// ErrOtherAlgorithm is a management key of another algorithm than the card's; the
	// card learned nothing of the key.
	ErrOtherAlgorithm = errors.New("the management key of the card has another algorithm")
	// ErrWrongKey is a management key that the card did not accept.
	ErrWrongKey = errors.New("the card did not accept the management key")
	// ErrNotProved is a card that did not prove that it has the management key.
	ErrNotProved = errors.New("the card did not prove that it has the management key")
)

// Manage is GENERAL AUTHENTICATE with the management key (3.2.4; appendix A.1 and A.2):
// mutual, in two commands, or single on a card that has no mutual form. The key has a
// length of ManagementAlgorithms.
func (c *Card) Manage(ctx context.Context, algorithm Algorithm, key *secret.Bytes) error {
	block, err := cipherOf(algorithm, key.Reveal())
	if err != nil {
		return err
	}
	size := block.BlockSize()
	answer, err := c.authenticate(ctx, algorithm, ManagementKey, iso7816.AppendTLV(nil, tagWitness))
	switch iso7816.StatusOf(err) {
	case iso7816.StatusWrongData, iso7816.StatusFunctionNotSupported:
		return c.manageSingly(ctx, algorithm, block)
	case iso7816.StatusWrongP1P2, iso7816.StatusReferenceNotFound:
		return fmt.Errorf("%w: %w", ErrOtherAlgorithm, err)
	}
	if err != nil {
		return err
	}
	witness, err := inTemplate(answer, tagWitness)
	if err != nil || len(witness) != size {
		return fmt.Errorf("%w: a witness of %d bytes", ErrMalformed, len(witness))
	}
	plain, challenge, want := make([]byte, size), make([]byte, size), make([]byte, size)
	block.Decrypt(plain, witness)
	if _, err := io.ReadFull(rand.Reader, challenge); err != nil {
		return err
	}
	block.Encrypt(want, challenge)
	request := iso7816.AppendTLV(iso7816.AppendTLV(nil, tagWitness, plain), tagChallenge, challenge)
	answer, err = c.authenticate(ctx, algorithm, ManagementKey, request)
	if err != nil {
		return wrongKey(err)
	}
	proof, err := inTemplate(answer, tagResponse)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(proof, want) != 1 {
		return ErrNotProved
	}
	return nil
}

func (c *Card) manageSingly(ctx context.Context, algorithm Algorithm, block cipher.Block) error {
	answer, err := c.authenticate(ctx, algorithm, ManagementKey, iso7816.AppendTLV(nil, tagChallenge))
	switch iso7816.StatusOf(err) {
	case iso7816.StatusWrongP1P2, iso7816.StatusReferenceNotFound, iso7816.StatusWrongData:
		return fmt.Errorf("%w: %w", ErrOtherAlgorithm, err)
	}
	if err != nil {
		return err
	}
	challenge, err := inTemplate(answer, tagChallenge)
	if err != nil || len(challenge) != block.BlockSize() {
		return fmt.Errorf("%w: a challenge of %d bytes", ErrMalformed, len(challenge))
	}
	response := make([]byte, block.BlockSize())
	block.Encrypt(response, challenge)
	_, err = c.authenticate(ctx, algorithm, ManagementKey, iso7816.AppendTLV(nil, tagResponse, response))
	return wrongKey(err)
}

// wrongKey tells a refusal of what was proved from other failures: 6982 by the standard,
// 6300 of cards that take it for EXTERNAL AUTHENTICATE.
func wrongKey(err error) error {
	const failed iso7816.Status = 0x6300
	if iso7816.Refused(err) || iso7816.StatusOf(err) == failed {
		return fmt.Errorf("%w: %w", ErrWrongKey, err)
	}
	return err
}

func cipherOf(algorithm Algorithm, key []byte) (cipher.Block, error) {
	if algorithm == TripleDES {
		return des.NewTripleDESCipher(key)
	}
	return aes.NewCipher(key)
}

// SetManagementKey is Yubico's SET MANAGEMENT KEY, after Manage; touch says that each use
// has to be confirmed by a touch.
func (c *Card) SetManagementKey(ctx context.Context, algorithm Algorithm, key *secret.Bytes, touch bool) error {
	const always, never = 0xFE, 0xFF
	data := append([]byte{byte(algorithm), ManagementKey, byte(key.Len())}, key.Reveal()...)
	defer secret.Wipe(data)
	p2 := byte(never)
	if touch {
		p2 = always
	}
	_, err := c.ask(ctx, iso7816.Command{INS: insSetManagementKey, P1: 0xFF, P2: p2, Data: data})
	return err
}
