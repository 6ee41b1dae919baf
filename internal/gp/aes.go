package gp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// aesCipher is the cipher of an AES key of 16, 24 or 32 bytes.
func aesCipher(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // keys are checked when they are read
	}
	return block
}

// cmac is AES-CMAC, 16 bytes (NIST SP 800-38B).
func cmac(key []byte, parts ...[]byte) []byte {
	block := aesCipher(key)
	subkey := make([]byte, aes.BlockSize)
	block.Encrypt(subkey, subkey)
	double(subkey)

	var message []byte
	for _, part := range parts {
		message = append(message, part...)
	}
	last := (max(len(message), 1) - 1) / aes.BlockSize * aes.BlockSize
	tail := make([]byte, aes.BlockSize)
	if n := copy(tail, message[last:]); n < aes.BlockSize {
		tail[n] = 0x80
		double(subkey)
	}
	subtle.XORBytes(tail, tail, subkey)

	icv := make([]byte, aes.BlockSize)
	if last > 0 {
		head := cbc(block, icv, message[:last])
		copy(icv, head[last-aes.BlockSize:])
	}
	return cbc(block, icv, tail)
}

// double multiplies by x in GF(2^128).
func double(b []byte) {
	carry := b[0] >> 7
	for i := range len(b) - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[len(b)-1] = b[len(b)-1]<<1 ^ carry*0x87
}

// kdf is the KDF in counter mode of NIST SP 800-108 with AES-CMAC as it is
// used here: the label, then the counter as one byte, then the context.
// length is in bytes.
func kdf(key, label, context []byte, length int) []byte {
	var out []byte
	for counter := byte(1); len(out) < length; counter++ {
		out = append(out, cmac(key, label, []byte{counter}, context)...)
	}
	clear(out[length:])
	return out[:length:length]
}

// derive is the data derivation of SCP03 (Amendment D, 4.1.5): eleven bytes
// 00, the derivation constant, a byte 00 and the length in bits before the
// counter.
func derive(key []byte, constant byte, context []byte, length int) []byte {
	label := make([]byte, 15)
	label[11] = constant
	binary.BigEndian.PutUint16(label[13:], uint16(length*8))
	return kdf(key, label, context, length)
}
