package cardsim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// factoryManagementKey is 0102…08 three times: 3DES, and AES-192 since firmware
// 5.7.
func (a *piv) factoryManagementKey() pivManagementKey {
	key := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
	algorithm := pivTripleDES
	if a.profile.piv.since(5, 7) {
		algorithm = pivAES192
	}
	return pivManagementKey{Algorithm: byte(algorithm), Key: key, Touch: pivTouchNever}
}

// cipher is nil for a key that does not fit its algorithm.
func (k *pivManagementKey) cipher() cipher.Block {
	size := map[pivAlgorithm]int{pivTripleDES: 24, pivAES128: 16, pivAES192: 24, pivAES256: 32}[pivAlgorithm(k.Algorithm)]
	if size == 0 || len(k.Key) != size {
		return nil
	}
	var block cipher.Block
	var err error
	if pivAlgorithm(k.Algorithm) == pivTripleDES {
		block, err = des.NewTripleDESCipher(k.Key)
	} else {
		block, err = aes.NewCipher(k.Key)
	}
	if err != nil {
		return nil
	}
	return block
}

func (k *pivManagementKey) cipherFailed() bool { return k.cipher() == nil }

// Tags of the dynamic authentication template, section 3.2.4, table 7.
const (
	pivTemplate  = 0x7C
	pivWitness   = 0x80
	pivChallenge = 0x81
	pivResponse  = 0x82
	pivExponent  = 0x85
)

// manage is GENERAL AUTHENTICATE with the management key: the host proves that it
// has it (appendix A.1), and in the mutual form the card does too (A.2).
func (a *piv) manage(c iso7816.Command, given map[iso7816.Tag][]byte) ([]byte, iso7816.Status) {
	key := &a.state.Management
	block := key.cipher()
	if c.P1 != key.Algorithm {
		return nil, iso7816.StatusWrongP1P2
	}
	witness, asksOrAnswersWitness := given[pivWitness]
	challenge, asksOrGivesChallenge := given[pivChallenge]
	response, answers := given[pivResponse]
	expectedWitness, expectedChallenge := a.witness, a.challenge
	a.witness, a.challenge = nil, nil
	switch size := block.BlockSize(); {
	case asksOrAnswersWitness && len(witness) == 0:
		a.managed = false
		return a.drawn(&a.witness, size, func(plain []byte) []byte {
			encrypted := make([]byte, size)
			block.Encrypt(encrypted, plain)
			return iso7816.AppendTLV(nil, pivWitness, encrypted)
		})
	case asksOrAnswersWitness && asksOrGivesChallenge && len(challenge) == size:
		a.managed = len(expectedWitness) == size && subtle.ConstantTimeCompare(witness, expectedWitness) == 1
		if !a.managed {
			return nil, iso7816.StatusSecurityNotSatisfied
		}
		proof := make([]byte, size)
		block.Encrypt(proof, challenge)
		return iso7816.AppendTLV(nil, pivTemplate, iso7816.AppendTLV(nil, pivResponse, proof)), iso7816.StatusOK
	case asksOrGivesChallenge && len(challenge) == 0:
		a.managed = false
		return a.drawn(&a.challenge, size, func(plain []byte) []byte { return iso7816.AppendTLV(nil, pivChallenge, plain) })
	case answers && len(response) != 0:
		proof := make([]byte, size)
		if len(expectedChallenge) == size {
			block.Encrypt(proof, expectedChallenge)
		}
		a.managed = len(expectedChallenge) == size && subtle.ConstantTimeCompare(response, proof) == 1
		if !a.managed {
			return nil, iso7816.StatusSecurityNotSatisfied
		}
		return nil, iso7816.StatusOK
	}
	return nil, iso7816.StatusWrongData
}

// drawn answers what the card draws, and remembers it for the next command.
func (a *piv) drawn(keep *[]byte, size int, object func([]byte) []byte) ([]byte, iso7816.Status) {
	plain := make([]byte, size)
	if _, err := io.ReadFull(a.random, plain); err != nil {
		return nil, iso7816.StatusMemoryFailure
	}
	*keep = plain
	return iso7816.AppendTLV(nil, pivTemplate, object(plain)), iso7816.StatusOK
}

// setManagementKey is Yubico's SET MANAGEMENT KEY: P2 FF, or FE where each use has
// to be confirmed by a touch; algorithm, 9B, length, key.
func (a *piv) setManagementKey(c iso7816.Command) iso7816.Status {
	touch := byte(pivTouchNever)
	switch {
	case !a.managed:
		return iso7816.StatusSecurityNotSatisfied
	case c.P1 != 0xFF || c.P2 != 0xFF && c.P2 != 0xFE:
		return iso7816.StatusWrongP1P2
	case len(c.Data) < 3 || c.Data[1] != pivManagement || int(c.Data[2]) != len(c.Data)-3:
		return iso7816.StatusWrongData
	case pivAlgorithm(c.Data[0]) != pivTripleDES && !a.profile.piv.managesByAES():
		return iso7816.StatusWrongData
	}
	if c.P2 == 0xFE {
		touch = pivTouchAlways
	}
	key := pivManagementKey{Algorithm: c.Data[0], Key: bytes.Clone(c.Data[3:]), Touch: touch}
	if key.cipherFailed() || weak(key) {
		return iso7816.StatusWrongData
	}
	a.state.Management = key
	return a.save()
}

// weak is a 3DES key of which two parts are the same, so that it is single DES,
// which is told by encrypting: parity does not count.
func weak(k pivManagementKey) bool {
	const part = 8
	if pivAlgorithm(k.Algorithm) != pivTripleDES {
		return false
	}
	same := func(x, y []byte) bool {
		for i := range part {
			if (x[i]^y[i])&0xFE != 0 {
				return false
			}
		}
		return true
	}
	factory := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 3)
	return !bytes.Equal(k.Key, factory) && (same(k.Key[:part], k.Key[part:]) || same(k.Key[part:], k.Key[2*part:]))
}
