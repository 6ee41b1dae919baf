package gp

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// fakeCard is the card's side of a secure channel, written from the
// specifications without looking at the host's side: it shares no function
// with it.
type fakeCard struct {
	scp, i        byte
	enc, mac, dek []byte // static
	kdd           []byte // 10 bytes
	version       byte
	aid           []byte
	challenge     []byte // without the sequence counter of SCP02
	sequence      []byte
	strict        bool // refuses a host challenge of the other length, also with SCP03

	// handle answers a command once it is plain.
	handle func(cmd iso7816.Command) ([]byte, uint16)

	// spoil changes an answer on its way.
	spoil func(ins byte, answer []byte) []byte

	host          []byte
	sEnc, sMac    []byte
	sRmac         []byte
	chain, rchain []byte
	level         byte
	authenticated bool
	counter       int64
	commands      []iso7816.Command // as they became plain
	refused       int               // EXTERNAL AUTHENTICATEs
}

func (c *fakeCard) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	cmd, _, err := iso7816.ParseCommand(apdu)
	if err != nil {
		return []byte{0x67, 0x00}, nil
	}
	answer := c.process(cmd)
	if c.spoil != nil {
		answer = c.spoil(cmd.INS, answer)
	}
	return answer, nil
}

func sw(data []byte, s uint16) []byte {
	return append(bytes.Clone(data), byte(s>>8), byte(s))
}

func (c *fakeCard) process(cmd iso7816.Command) []byte {
	switch cmd.INS {
	case 0xA4:
		c.authenticated = false
		fci := []byte{0x6F, byte(4 + len(c.aid)), 0x84, byte(len(c.aid))}
		return sw(append(append(fci, c.aid...), 0xA5, 0x00), 0x9000)
	case 0xCA:
		if cmd.P2 == 0x66 && !c.authenticated {
			oid := []byte{0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x04, c.scp, c.i}
			return sw(append([]byte{0x66, 0x0F, 0x73, 0x0D, 0x64, 0x0B}, oid...), 0x9000)
		}
		if !c.authenticated {
			return sw(nil, 0x6A88)
		}
	case 0x50:
		return c.initialize(cmd)
	case 0x82:
		return c.external(cmd)
	}
	if !c.authenticated {
		return sw(nil, 0x6982)
	}
	plain, ok := c.open(cmd)
	if !ok {
		c.authenticated = false
		return sw(nil, 0x6982)
	}
	c.commands = append(c.commands, plain)
	data, status := c.handle(plain)
	return c.close(plain, data, status)
}

func (c *fakeCard) wide() int {
	if c.scp == 3 && c.i&1 == 1 {
		return 16
	}
	return 8
}

func (c *fakeCard) fullChallenge() []byte {
	if c.scp == 2 {
		return append(bytes.Clone(c.sequence), c.challenge...)
	}
	return c.challenge
}

func (c *fakeCard) initialize(cmd iso7816.Command) []byte {
	c.authenticated = false
	if len(cmd.Data) != c.wide() && (c.scp != 3 || c.strict) {
		return sw(nil, 0x6A80)
	}
	c.host = bytes.Clone(cmd.Data)
	card := c.fullChallenge()
	both := append(bytes.Clone(c.host), card...)
	switch c.scp {
	case 1:
		var seed []byte
		seed = append(seed, card[4:8]...)
		seed = append(seed, c.host[0:4]...)
		seed = append(seed, card[0:4]...)
		seed = append(seed, c.host[4:8]...)
		c.sEnc, c.sMac = ede(c.enc, seed, nil), ede(c.mac, seed, nil)
	case 2:
		session := func(key []byte, a, b byte) []byte {
			seed := make([]byte, 16)
			seed[0], seed[1], seed[2], seed[3] = a, b, c.sequence[0], c.sequence[1]
			return ede(key, seed, make([]byte, 8))
		}
		c.sEnc, c.sMac, c.sRmac = session(c.enc, 1, 0x82), session(c.mac, 1, 1), session(c.mac, 1, 2)
	case 3:
		c.sEnc, c.sMac, c.sRmac = c.kdf(c.enc, 4, both, len(c.enc)), c.kdf(c.mac, 6, both, len(c.mac)), c.kdf(c.mac, 7, both, len(c.mac))
	}
	answer := append(bytes.Clone(c.kdd), c.version, c.scp)
	if c.scp == 3 {
		answer = append(answer, c.i)
	}
	answer = append(answer, card...)
	answer = append(answer, c.cryptogram(0, both)...)
	if c.scp == 3 && c.i&0x10 != 0 {
		answer = append(answer, c.sequence...)
	}
	return sw(answer, 0x9000)
}

// cryptogram is over both challenges in the order given.
func (c *fakeCard) cryptogram(constant byte, both []byte) []byte {
	if c.scp == 3 {
		return c.kdf(c.sMac, constant, both, c.wide())
	}
	all := ede(c.sEnc, iso9797(both, 8), make([]byte, 8))
	return all[len(all)-8:]
}

func (c *fakeCard) external(cmd iso7816.Command) []byte {
	c.chain = make([]byte, 16)
	c.level, c.counter = 1, 0
	fresh := c.scp != 3
	plain, ok := c.openWith(cmd, fresh)
	card := c.fullChallenge()
	both := append(bytes.Clone(card), c.host...)
	if c.scp == 3 {
		both = append(bytes.Clone(c.host), card...)
	}
	if !ok || !bytes.Equal(plain.Data, c.cryptogram(1, both)) {
		c.refused++
		return sw(nil, 0x6300)
	}
	c.level, c.authenticated = cmd.P1, true
	c.rchain = bytes.Clone(c.chain)
	return sw(nil, 0x9000)
}

func (c *fakeCard) open(cmd iso7816.Command) (iso7816.Command, bool) { return c.openWith(cmd, false) }

// openWith verifies and decrypts. first is the first C-MAC of a session.
func (c *fakeCard) openWith(cmd iso7816.Command, first bool) (iso7816.Command, bool) {
	if c.level&1 == 0 {
		return cmd, cmd.CLA == 0x80
	}
	n := len(cmd.Data) - c.wide()
	if cmd.CLA != 0x84 || n < 0 {
		return cmd, false
	}
	body, mac := bytes.Clone(cmd.Data[:n]), cmd.Data[n:]
	head := []byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2}
	lc := func(n int) []byte {
		if n > 255 {
			return []byte{0, byte(n >> 8), byte(n)}
		}
		return []byte{byte(n)}
	}
	if c.scp == 3 {
		all := append(bytes.Clone(c.chain), head...)
		all = append(append(all, lc(len(cmd.Data))...), body...)
		full := mac4493(c.sMac, all)
		if !bytes.Equal(full[:c.wide()], mac) {
			return cmd, false
		}
		c.chain = full
		if c.level&2 != 0 {
			c.counter++
			if len(body) > 0 {
				if body = c.decrypt(body, 0); body == nil {
					return cmd, false
				}
			}
		}
	} else {
		if c.level&2 != 0 && len(body) > 0 {
			if body = c.decryptDES(body); body == nil {
				return cmd, false
			}
		}
		icv := c.chain[:8]
		if c.i&0x10 != 0 && !first {
			if c.scp == 1 {
				icv = ede(c.sMac, icv, nil)
			} else {
				icv = one(c.sMac[:8], icv)
			}
		}
		all := append(append(head, lc(len(body)+8)...), body...)
		var full []byte
		if c.scp == 1 {
			full = ede(c.sMac, iso9797(all, 8), icv)
		} else {
			full = alg3(c.sMac, all, icv)
		}
		full = full[len(full)-8:]
		if !bytes.Equal(full, mac) {
			return cmd, false
		}
		c.chain = full
	}
	cmd.CLA, cmd.Data = 0x80, body
	return cmd, true
}

// close protects an answer.
func (c *fakeCard) close(cmd iso7816.Command, data []byte, status uint16) []byte {
	if c.level&0x10 == 0 || status != 0x9000 && status>>8 != 0x62 && status>>8 != 0x63 {
		return sw(data, status)
	}
	if c.scp == 2 {
		all := []byte{0x80, cmd.INS, cmd.P1, cmd.P2, byte(len(cmd.Data))}
		all = append(append(all, cmd.Data...), byte(len(data)))
		all = append(append(all, data...), byte(status>>8), byte(status))
		c.rchain = alg3(c.sRmac, all, c.rchain[:8])
		return sw(append(bytes.Clone(data), c.rchain...), status)
	}
	if c.level&0x20 != 0 && len(data) > 0 {
		block, _ := aes.NewCipher(c.sEnc)
		padded := iso9797(data, 16)
		cipher.NewCBCEncrypter(block, c.counterBlock(0x80)).CryptBlocks(padded, padded)
		data = padded
	}
	all := append(append(bytes.Clone(c.chain), data...), byte(status>>8), byte(status))
	return sw(append(bytes.Clone(data), mac4493(c.sRmac, all)[:c.wide()]...), status)
}

func (c *fakeCard) counterBlock(first byte) []byte {
	b := big.NewInt(c.counter).FillBytes(make([]byte, 16))
	b[0] |= first
	block, _ := aes.NewCipher(c.sEnc)
	block.Encrypt(b, b)
	return b
}

func (c *fakeCard) decrypt(body []byte, first byte) []byte {
	if len(body)%16 != 0 {
		return nil
	}
	block, _ := aes.NewCipher(c.sEnc)
	cipher.NewCBCDecrypter(block, c.counterBlock(first)).CryptBlocks(body, body)
	return strip(body)
}

func (c *fakeCard) decryptDES(body []byte) []byte {
	if len(body)%8 != 0 {
		return nil
	}
	triple, _ := des.NewTripleDESCipher(append(bytes.Clone(c.sEnc), c.sEnc[:8]...))
	cipher.NewCBCDecrypter(triple, make([]byte, 8)).CryptBlocks(body, body)
	if c.scp == 2 {
		return strip(body)
	}
	n, head := int(body[0]), 1
	if n == 0 {
		n, head = int(body[1])<<8|int(body[2]), 3
	}
	if head+n > len(body) {
		return nil
	}
	return body[head : head+n]
}

func strip(b []byte) []byte {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 || b[len(b)-1] != 0x80 {
		return nil
	}
	return b[:len(b)-1]
}

func iso9797(b []byte, size int) []byte {
	b = append(bytes.Clone(b), 0x80)
	for len(b)%size != 0 {
		b = append(b, 0)
	}
	return b
}

// one encrypts one block with single DES.
func one(key, block []byte) []byte {
	d, _ := des.NewCipher(key)
	out := make([]byte, 8)
	d.Encrypt(out, block)
	return out
}

func undo(key, block []byte) []byte {
	d, _ := des.NewCipher(key)
	out := make([]byte, 8)
	d.Decrypt(out, block)
	return out
}

// ede is two-key triple DES out of single DES; iv nil is ECB.
func ede(key, data, iv []byte) []byte {
	var out []byte
	for ; len(data) > 0; data = data[8:] {
		block := bytes.Clone(data[:8])
		for i := range iv {
			block[i] ^= iv[i]
		}
		block = one(key[:8], undo(key[8:16], one(key[:8], block)))
		if iv != nil {
			iv = block
		}
		out = append(out, block...)
	}
	return out
}

// alg3 is the MAC algorithm 3 of ISO/IEC 9797-1.
func alg3(key, data, iv []byte) []byte {
	padded := iso9797(data, 8)
	h := bytes.Clone(iv)
	for ; len(padded) > 0; padded = padded[8:] {
		for i := range h {
			h[i] ^= padded[i]
		}
		h = one(key[:8], h)
	}
	return one(key[:8], undo(key[8:16], h))
}

// mac4493 is AES-CMAC as RFC 4493 writes it, with the subkeys as numbers.
func mac4493(key, data []byte) []byte {
	block, _ := aes.NewCipher(key)
	l := make([]byte, 16)
	block.Encrypt(l, l)
	twice := func(n *big.Int) *big.Int {
		n = new(big.Int).Lsh(n, 1)
		if n.Bit(128) == 1 {
			n.SetBit(n, 128, 0)
			n.Xor(n, big.NewInt(0x87))
		}
		return n
	}
	k := twice(new(big.Int).SetBytes(l))
	if len(data) == 0 || len(data)%16 != 0 {
		data = iso9797(data, 16)
		k = twice(k)
	}
	x := make([]byte, 16)
	last := k.FillBytes(make([]byte, 16))
	for i := 0; i < len(data); i += 16 {
		for j := range x {
			x[j] ^= data[i+j]
			if i+16 == len(data) {
				x[j] ^= last[j]
			}
		}
		block.Encrypt(x, x)
	}
	return x
}

func (c *fakeCard) kdf(key []byte, constant byte, context []byte, n int) []byte {
	var out []byte
	for i := byte(1); len(out) < n; i++ {
		block := append(make([]byte, 11), constant, 0, byte(n*8>>8), byte(n*8), i)
		out = append(out, mac4493(key, append(block, context...))...)
	}
	return out[:n]
}

// replayOnCard lets the card of these tests answer the commands of a
// transcript, and compares.
func replayOnCard(t *testing.T, v vector, list []exchange) {
	t.Helper()
	card := &fakeCard{
		scp: byte(v.Inputs["scp"].(float64)), i: v.in(t, "i")[0], enc: v.in(t, "enc"), mac: v.in(t, "mac"), dek: v.in(t, "dek"),
		kdd: v.in(t, "kdd"), challenge: v.in(t, "card_challenge"),
	}
	var answer exchange
	card.handle = func(cmd iso7816.Command) ([]byte, uint16) {
		plain := answer.plainAnswer
		if plain == nil {
			plain = answer.answer // not protected
		}
		return plain[:len(plain)-2], uint16(plain[len(plain)-2])<<8 | uint16(plain[len(plain)-1])
	}
	for _, e := range list {
		switch e.role {
		case "plain":
			continue
		case "INITIALIZE UPDATE":
			card.version = e.answer[10]
			switch {
			case card.scp == 2:
				card.sequence, card.challenge = card.challenge[:2], card.challenge[2:]
			case card.scp == 3 && card.i&0x10 != 0:
				card.sequence = e.answer[len(e.answer)-5 : len(e.answer)-2]
			}
		}
		answer = e
		got, err := card.Transmit(t.Context(), e.command)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "the card's answer to "+hex.EncodeToString(e.command), got, e.answer)
		if e.plainCommand != nil {
			plain, _, _ := iso7816.ParseCommand(e.plainCommand)
			want(t, "the command as the card sees it", card.commands[len(card.commands)-1].Data, plain.Data)
		}
	}
}
