package cardsim

import (
	"crypto/cipher"
	"crypto/des"
)

// desBlock is the length of a DES block, and of every MAC of SCP01 and SCP02,
// in bytes.
const desBlock = des.BlockSize

// tripleDES is DES with two keys, 16 bytes; key bytes are used without a look
// at their parity.
func tripleDES(key []byte) cipher.Block {
	long := append(append(make([]byte, 0, 24), key[:16]...), key[:8]...)
	block, err := des.NewTripleDESCipher(long)
	if err != nil {
		panic(err) // of the length of a key, which the state is checked for
	}
	return block
}

// singleDES is DES with the first half of a key of 16 bytes.
func singleDES(key []byte) cipher.Block {
	block, err := des.NewCipher(key[:8])
	if err != nil {
		panic(err)
	}
	return block
}

// pad is ISO/IEC 9797-1 padding method 2.
func pad(data []byte, block int) []byte {
	padded := append(append(make([]byte, 0, len(data)+block), data...), 0x80)
	for len(padded)%block != 0 {
		padded = append(padded, 0)
	}
	return padded
}

// unpad takes the padding away; ok is false where there is none.
func unpad(data []byte) (plain []byte, ok bool) {
	for n := len(data) - 1; n >= 0; n-- {
		switch data[n] {
		case 0x00:
		case 0x80:
			return data[:n], true
		default:
			return nil, false
		}
	}
	return nil, false
}

func encryptCBC(block cipher.Block, icv, data []byte) []byte {
	out := make([]byte, len(data))
	cipher.NewCBCEncrypter(block, icv).CryptBlocks(out, data)
	return out
}

func decryptCBC(block cipher.Block, icv, data []byte) []byte {
	out := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, icv).CryptBlocks(out, data)
	return out
}

// decryptECB deciphers a key that came under another.
func decryptECB(block cipher.Block, data []byte) []byte {
	out := make([]byte, len(data))
	for i := 0; i < len(data); i += block.BlockSize() {
		block.Decrypt(out[i:], data[i:])
	}
	return out
}

// fullMAC is the last block of CBC with triple DES (Card Specification 2.3.1,
// B.1.2.1), the message padded.
func fullMAC(key, icv, message []byte) []byte {
	out := encryptCBC(tripleDES(key), icv, pad(message, desBlock))
	return out[len(out)-desBlock:]
}

// retailMAC is CBC with single DES and a last block with triple DES (B.1.2.2),
// the message padded.
func retailMAC(key, icv, message []byte) []byte {
	padded := pad(message, desBlock)
	n := len(padded) - desBlock
	if n > 0 {
		head := encryptCBC(singleDES(key), icv, padded[:n])
		icv = head[n-desBlock:]
	}
	return encryptCBC(tripleDES(key), icv, padded[n:])
}

// desCheckValue is the key check value of a DES key, 3 bytes (B.5).
func desCheckValue(key []byte) []byte {
	out := make([]byte, desBlock)
	tripleDES(key).Encrypt(out, out)
	return out[:3]
}
