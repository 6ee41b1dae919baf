package cardsim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // of the length of a key, which the state is checked for
	}
	return block
}

// cmac is CMAC with AES (NIST SP 800-38B), 16 bytes.
func cmac(key []byte, parts ...[]byte) []byte {
	block := newAES(key)
	subkey := make([]byte, aes.BlockSize)
	block.Encrypt(subkey, subkey)
	double(subkey)

	message := bytes.Join(parts, nil)
	if len(message) == 0 || len(message)%aes.BlockSize != 0 {
		double(subkey)
		message = pad(message, aes.BlockSize)
	}
	last := message[len(message)-aes.BlockSize:]
	subtle.XORBytes(last, last, subkey)
	out := encryptCBC(block, make([]byte, aes.BlockSize), message)
	return out[len(out)-aes.BlockSize:]
}

// double multiplies by x in GF(2^128).
func double(b []byte) {
	carry := byte(0)
	for i := len(b) - 1; i >= 0; i-- {
		b[i], carry = b[i]<<1|carry, b[i]>>7
	}
	b[len(b)-1] ^= 0x87 * carry
}

// Derivation constants of SCP03 (Amendment D, 4.1.5).
const (
	deriveCardCryptogram = 0x00
	deriveHostCryptogram = 0x01
	deriveCardChallenge  = 0x02
	deriveEncryption     = 0x04
	deriveMAC            = 0x06
	deriveResponseMAC    = 0x07
)

// derive is the key derivation function of SCP03: NIST SP 800-108 in counter
// mode with CMAC (Amendment D, 4.1.5); it gives length bytes.
func derive(key []byte, constant byte, length int, context ...[]byte) []byte {
	var out []byte
	for counter := byte(1); len(out) < length; counter++ {
		head := make([]byte, 16)
		head[11] = constant
		head[13], head[14] = byte(length*8>>8), byte(length*8)
		head[15] = counter
		out = append(out, cmac(key, head, bytes.Join(context, nil))...)
	}
	return out[:length]
}

// aesCheckValue is the key check value of an AES key, 3 bytes: what becomes of
// a block of bytes 01.
func aesCheckValue(key []byte) []byte {
	out := bytes.Repeat([]byte{0x01}, aes.BlockSize)
	newAES(key).Encrypt(out, out)
	return out[:3]
}
