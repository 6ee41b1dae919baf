package gp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Derivation constants of SCP03 (Amendment D, table 4-1).
const (
	derivationCardCryptogram = 0x00
	derivationHostCryptogram = 0x01
	derivationCardChallenge  = 0x02
	derivationENC            = 0x04
	derivationMAC            = 0x06
	derivationRMAC           = 0x07
)

// scp03 is the secure messaging of SCP03.
type scp03 struct {
	size           int // of challenges, cryptograms and MACs
	enc, mac, rmac []byte
	static         *KeySet // for the card challenge and for PUT KEY
	chain          [aes.BlockSize]byte
	counter        uint64
}

// newSCP03 derives the session keys of SCP03 (Amendment D, 6.2.1).
func newSCP03(options byte, keys *KeySet, host, card []byte) *scp03 {
	context := slices.Concat(host, card)
	n := keys.Length()
	m := &scp03{
		size:   challengeLength,
		enc:    derive(keys.enc.Reveal(), derivationENC, context, n),
		mac:    derive(keys.mac.Reveal(), derivationMAC, context, n),
		rmac:   derive(keys.mac.Reveal(), derivationRMAC, context, n),
		static: keys.Clone(),
	}
	if options&optionS16 != 0 {
		m.size = longLength
	}
	return m
}

func (m *scp03) overhead() (mac, block int) { return m.size, aes.BlockSize }

func (m *scp03) cardCryptogram(host, card []byte) []byte {
	return derive(m.mac, derivationCardCryptogram, slices.Concat(host, card), m.size)
}

func (m *scp03) hostCryptogram(host, card []byte) []byte {
	return derive(m.mac, derivationHostCryptogram, slices.Concat(host, card), m.size)
}

func (m *scp03) pseudoRandomChallenge(sequence, aid []byte) []byte {
	return derive(m.static.enc.Reveal(), derivationCardChallenge, slices.Concat(sequence, aid), m.size)
}

// wrap encrypts the data and computes the C-MAC after that (Amendment D, 6.2.4
// and 6.2.6). The counter counts every command, with data or not.
func (m *scp03) wrap(cmd iso7816.Command, level Level) iso7816.Command {
	if !level.has(CMAC) {
		return cmd
	}
	cmd.CLA |= classSecure
	data := cmd.Data
	if level.has(CDecryption) {
		m.counter++
		if len(data) > 0 {
			data = cbc(aesCipher(m.enc), m.icv(0x00), pad(data, aes.BlockSize))
		}
	}
	mac := cmac(m.mac, m.chain[:], header(cmd, len(data)+m.size), data)
	copy(m.chain[:], mac)
	cmd.Data = slices.Concat(data, mac[:m.size])
	return cmd
}

// icv is the encrypted counter; answers have the first bit of it set.
func (m *scp03) icv(first byte) []byte {
	block := make([]byte, aes.BlockSize)
	binary.BigEndian.PutUint64(block[8:], m.counter)
	block[0] = first
	return ecb(aesCipher(m.enc), block)
}

// unwrap checks the R-MAC and decrypts after that (Amendment D, 6.2.5 and
// 6.2.7).
func (m *scp03) unwrap(_ iso7816.Command, level Level, answer []byte, status iso7816.Status) ([]byte, error) {
	if !level.has(RMAC) {
		return answer, nil
	}
	if !protected(status) {
		if len(answer) > 0 {
			return nil, ErrResponseMAC
		}
		return answer, nil
	}
	data, mac, err := splitMAC(answer, m.size)
	if err != nil {
		return nil, err
	}
	expected := cmac(m.rmac, m.chain[:], data, []byte{byte(status >> 8), byte(status)})
	if !equal(mac, expected[:m.size]) {
		return nil, ErrResponseMAC
	}
	if !level.has(REncryption) || len(data) == 0 {
		return data, nil
	}
	if len(data)%aes.BlockSize != 0 {
		return nil, malformed("an encrypted answer of %d bytes", len(data))
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(aesCipher(m.enc), m.icv(0x80)).CryptBlocks(plain, data)
	return unpad(plain)
}

// unpad removes what pad appended.
func unpad(data []byte) ([]byte, error) {
	end := bytes.LastIndexByte(data, 0x80)
	if end < 0 || len(bytes.Trim(data[end+1:], "\x00")) > 0 {
		return nil, malformed("an answer without its padding")
	}
	return data[:end:end], nil
}

// encryptKey is AES in CBC mode with the static data encryption key (Amendment
// D, 6.2.8). A key of 24 bytes is padded to whole blocks.
func (m *scp03) encryptKey(key []byte) []byte {
	padded := make([]byte, (len(key)+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize)
	defer clear(padded)
	copy(padded, key)
	if len(padded) > len(key) {
		padded[len(key)] = 0x80
	}
	return cbc(aesCipher(m.static.dek.Reveal()), make([]byte, aes.BlockSize), padded)
}

func (m *scp03) wipe() {
	clear(m.enc)
	clear(m.mac)
	clear(m.rmac)
	clear(m.chain[:])
	m.static.Wipe()
}
