package gp

import (
	"crypto/cipher"
	"crypto/des"
)

// tripleDES is the cipher of a two-key triple DES key of 16 bytes.
func tripleDES(key []byte) cipher.Block {
	var long [24]byte
	defer clear(long[:])
	copy(long[:], key)
	copy(long[16:], key[:8])
	block, err := des.NewTripleDESCipher(long[:])
	if err != nil {
		panic(err) // the length is right
	}
	return block
}

func singleDES(key []byte) cipher.Block {
	block, err := des.NewCipher(key[:8])
	if err != nil {
		panic(err) // the length is right
	}
	return block
}

// ecb encrypts whole blocks in electronic code book mode.
func ecb(block cipher.Block, data []byte) []byte {
	out := make([]byte, len(data))
	for i := 0; i < len(data); i += block.BlockSize() {
		block.Encrypt(out[i:], data[i:])
	}
	return out
}

// cbc encrypts whole blocks in cipher block chaining mode.
func cbc(block cipher.Block, iv, data []byte) []byte {
	out := make([]byte, len(data))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, data)
	return out
}

// pad appends 80 and as many 00 as fill the last block (B.2.3, and
// ISO/IEC 9797-1, padding method 2). It never writes into data.
func pad(data []byte, blockSize int) []byte {
	padded := make([]byte, (len(data)/blockSize+1)*blockSize)
	copy(padded, data)
	padded[len(data)] = 0x80
	return padded
}

// fullMAC is the full triple DES MAC, 8 bytes (B.1.2.1).
func fullMAC(key, icv, data []byte) []byte {
	out := cbc(tripleDES(key), icv, pad(data, des.BlockSize))
	return out[len(out)-des.BlockSize:]
}

// retailMAC is the single DES plus final triple DES MAC, 8 bytes (B.1.2.2).
func retailMAC(key, icv, data []byte) []byte {
	padded := pad(data, des.BlockSize)
	last := len(padded) - des.BlockSize
	if last > 0 {
		head := cbc(singleDES(key), icv, padded[:last])
		icv = head[last-des.BlockSize:]
	}
	return cbc(tripleDES(key), icv, padded[last:])
}
