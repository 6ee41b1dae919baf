package pbe

import (
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// rc2 decrypts with the cipher of RFC 2268, in which old programs encrypted certificates.
// It does not encrypt: nobody should.
type rc2 struct{ key [64]uint16 }

// piTable is RFC 2268, 2: digits of pi.
func piTable() []byte {
	table, err := hex.DecodeString("" +
		"d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2" +
		"179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82" +
		"54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626" +
		"6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7" +
		"08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec" +
		"c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731" +
		"2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9" +
		"0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad")
	if err != nil {
		panic(err) // a constant
	}
	return table
}

// newRC2 expands a key (RFC 2268, 2), whose effective length is all of it.
func newRC2(key []byte) (cipher.Block, error) { return expandRC2(key, len(key)*8), nil }

func expandRC2(key []byte, effective int) rc2 {
	table := piTable()
	l := make([]byte, 128)
	copy(l, key)
	for i := len(key); i < len(l); i++ {
		l[i] = table[l[i-1]+l[i-len(key)]]
	}
	octets := (effective + 7) / 8
	mask := byte(0xFF >> (8*octets - effective))
	l[128-octets] = table[l[128-octets]&mask]
	for i := 127 - octets; i >= 0; i-- {
		l[i] = table[l[i+1]^l[i+octets]]
	}
	var c rc2
	for i := range c.key {
		c.key[i] = binary.LittleEndian.Uint16(l[2*i:])
	}
	return c
}

func (rc2) BlockSize() int { return 8 }

// Encrypt is RFC 2268, 3, which only the tests use.
func (c rc2) Encrypt(dst, src []byte) {
	r := words(src)
	for round := range 16 {
		if round == 5 || round == 11 {
			for i := range r {
				r[i] += c.key[r[(i+3)%4]&63]
			}
		}
		for i := range r {
			r[i] += c.key[4*round+i] + r[(i+3)%4]&r[(i+2)%4] + ^r[(i+3)%4]&r[(i+1)%4]
			r[i] = bits.RotateLeft16(r[i], rotation(i))
		}
	}
	store(dst, r)
}

// Decrypt is RFC 2268, 4.
func (c rc2) Decrypt(dst, src []byte) {
	r := words(src)
	for round := 15; round >= 0; round-- {
		for i := 3; i >= 0; i-- {
			r[i] = bits.RotateLeft16(r[i], -rotation(i))
			r[i] -= c.key[4*round+i] + r[(i+3)%4]&r[(i+2)%4] + ^r[(i+3)%4]&r[(i+1)%4]
		}
		if round == 5 || round == 11 {
			for i := 3; i >= 0; i-- {
				r[i] -= c.key[r[(i+3)%4]&63]
			}
		}
	}
	store(dst, r)
}

func rotation(i int) int { return [4]int{1, 2, 3, 5}[i] }

func words(block []byte) (r [4]uint16) {
	for i := range r {
		r[i] = binary.LittleEndian.Uint16(block[2*i:])
	}
	return r
}

func store(block []byte, r [4]uint16) {
	for i := range r {
		binary.LittleEndian.PutUint16(block[2*i:], r[i])
	}
}
