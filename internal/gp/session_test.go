package gp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// known are all protocols, with the levels of each.
func known() map[Protocol][]Level {
	all := map[Protocol][]Level{}
	for _, i := range []byte{0x05, 0x15} {
		all[Protocol{1, i}] = []Level{LevelNone, LevelMAC, LevelEncryption}
	}
	for _, i := range []byte{0x04, 0x05, 0x14, 0x15, 0x35, 0x44, 0x45, 0x54, 0x55, 0x64, 0x65, 0x74, 0x75} {
		levels := []Level{LevelNone, LevelMAC, LevelEncryption}
		if i&0x20 != 0 {
			levels = append(levels, RMAC, LevelRMAC, LevelEncryptedRMAC)
		}
		all[Protocol{2, i}] = levels
	}
	for _, i := range []byte{0x00, 0x10, 0x20, 0x30, 0x60, 0x70} {
		levels := []Level{LevelMAC, LevelEncryption}
		if i&0x20 != 0 {
			levels = append(levels, LevelRMAC, LevelEncryptedRMAC)
		}
		if i&0x40 != 0 {
			levels = append(levels, LevelFull)
		}
		all[Protocol{3, i}], all[Protocol{3, i | 1}] = levels, levels
	}
	return all
}

func key(length int, first byte) []byte {
	k := make([]byte, length)
	for i := range k {
		k[i] = first + byte(i)
	}
	return k
}

// newFakeCard is a card of a protocol that echoes the data it gets.
func newFakeCard(t *testing.T, p Protocol, length int) (*fakeCard, *KeySet) {
	t.Helper()
	enc, mac, dek := key(length, 0x10), key(length, 0x50), key(length, 0x90)
	if p.SCP == 2 && p.I&1 == 0 {
		mac, dek = enc, enc
	}
	card := &fakeCard{
		scp: p.SCP, i: p.I, enc: enc, mac: mac, dek: dek, kdd: key(10, 0xA0), version: 0x30,
		aid: []byte{0xA0, 0, 0, 1, 0x51, 0, 0, 0}, sequence: []byte{0, 7}, challenge: key(8, 0xC0),
		handle: func(cmd iso7816.Command) ([]byte, uint16) { return cmd.Data, 0x9000 },
	}
	switch {
	case p.SCP == 2:
		card.challenge = card.challenge[:6]
	case p.SCP == 3:
		card.challenge = key(card.wide(), 0xC0)
		card.sequence = []byte{0, 0, 9}
		if p.I&0x10 != 0 {
			card.challenge = card.kdf(enc, 2, append(bytes.Clone(card.sequence), card.aid...), card.wide())
		}
	}
	return card, keySet(t, enc, mac, dek)
}

func discover(t *testing.T, card *fakeCard, can iso7816.Capabilities) *SecurityDomain {
	t.Helper()
	d, err := Discover(t.Context(), iso7816.NewChannel(card, can), nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSessions has a conversation with a card of each protocol, at each level,
// with keys of each length, in short and in extended APDUs.
func TestSessions(t *testing.T) {
	for p, levels := range known() {
		lengths := []int{16}
		if p.SCP == 3 {
			lengths = []int{16, 24, 32}
		}
		for _, length := range lengths {
			for _, level := range levels {
				t.Run(fmt.Sprintf("%s/%d/%02X", p, length*8, byte(level)), func(t *testing.T) {
					card, keys := newFakeCard(t, p, length)
					d := discover(t, card, iso7816.Capabilities{ExtendedLength: true})
					if err := d.Open(t.Context(), Credentials{Keys: keys, Level: level}); err != nil {
						t.Fatal(err)
					}
					if d.Session().Protocol != p || d.Session().KeyVersion != 0x30 {
						t.Errorf("%s with keys of version %d", d.Session().Protocol, d.Session().KeyVersion)
					}
					for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 200, d.Session().MaxData(255), 300, 2000} {
						if n > 255 && (p.SCP != 3 && level.has(RMAC)) {
							continue // the R-MAC of SCP02 counts the answer in one byte
						}
						answer, err := d.GetDataOf(t, key(n, byte(n)))
						if n > 255 && p.SCP == 1 && level.has(CDecryption) {
							if !errors.Is(err, ErrTooLong) {
								t.Errorf("%d bytes, which one byte cannot count: %v", n, err)
							}
							continue
						}
						if err != nil || !bytes.Equal(answer, key(n, byte(n))) {
							t.Fatalf("%d bytes: %X, %v", n, answer, err)
						}
					}
				})
			}
		}
	}
}

// GetDataOf sends a command with data that the card of these tests echoes.
func (d *SecurityDomain) GetDataOf(t *testing.T, data []byte) ([]byte, error) {
	t.Helper()
	return d.send(t.Context(), "ECHO", iso7816.Command{CLA: 0x80, INS: 0xF2, P1: 0x40, Data: data, Ne: 256})
}

// A card of S16 that says nothing of itself may answer a challenge of 8 bytes
// or refuse it.
func TestChallengeOfS16(t *testing.T) {
	for _, strict := range []bool{false, true} {
		card, keys := newFakeCard(t, Protocol{3, 0x11}, 16)
		card.strict = strict
		ch := iso7816.NewChannel(card, iso7816.Capabilities{})
		s, err := open(t.Context(), ch, card.aid, nil, Credentials{Keys: keys, Level: LevelMAC})
		if err != nil || s.Protocol.I != 0x11 || !card.authenticated {
			t.Errorf("strict %t: %v", strict, err)
		}
	}
	card, keys := newFakeCard(t, Protocol{2, 0x15}, 16)
	card.spoil = func(byte, []byte) []byte { return []byte{0x6A, 0x80} }
	_, err := open(t.Context(), iso7816.NewChannel(card, iso7816.Capabilities{}), card.aid, nil, Credentials{Keys: keys, Level: LevelMAC})
	if iso7816.StatusOf(err) != iso7816.StatusWrongData {
		t.Errorf("%v", err)
	}
}

func TestMaxDataFits(t *testing.T) {
	for _, test := range []struct {
		p          Protocol
		level      Level
		total, max int
	}{
		{Protocol{1, 0x05}, LevelMAC, 255, 247}, {Protocol{1, 0x05}, LevelEncryption, 255, 239},
		{Protocol{2, 0x55}, LevelMAC, 255, 247}, {Protocol{2, 0x55}, LevelEncryption, 255, 239},
		{Protocol{3, 0x70}, LevelMAC, 255, 247}, {Protocol{3, 0x70}, LevelFull, 255, 239},
		{Protocol{3, 0x71}, LevelMAC, 255, 239}, {Protocol{3, 0x71}, LevelFull, 255, 223},
		{Protocol{2, 0x15}, LevelNone, 255, 255},
	} {
		card, keys := newFakeCard(t, test.p, 16)
		d := discover(t, card, iso7816.Capabilities{})
		if err := d.Open(t.Context(), Credentials{Keys: keys, Level: test.level}); err != nil {
			t.Fatal(err)
		}
		if got := d.Session().MaxData(test.total); got != test.max {
			t.Errorf("%s %s: %d of %d bytes, not %d", test.p, test.level, got, test.total, test.max)
		}
		if _, err := d.GetDataOf(t, make([]byte, test.max+1)); !errors.Is(err, ErrTooLong) {
			t.Errorf("%s %s: one more byte: %v", test.p, test.level, err)
		}
		if _, err := d.GetDataOf(t, make([]byte, test.max)); err != nil {
			t.Errorf("%s %s: %v", test.p, test.level, err)
		}
	}
}

// TestWrongKeys sees that a card which cannot prove the keys is not asked to
// check ours.
func TestWrongKeys(t *testing.T) {
	for p := range known() {
		card, _ := newFakeCard(t, p, 16)
		d := discover(t, card, iso7816.Capabilities{})
		err := d.Open(t.Context(), Credentials{Keys: DefaultKeySet(), Level: LevelMAC})
		if !errors.Is(err, ErrCardCryptogram) || card.refused != 0 || d.Session() != nil {
			t.Errorf("%s: %v, the card refused %d times", p, err, card.refused)
		}
	}
}

// TestLyingCard changes every byte of the answer to INITIALIZE UPDATE, and its
// length: nothing may be authenticated.
func TestLyingCard(t *testing.T) {
	for p := range known() {
		card, keys := newFakeCard(t, p, 16)
		d := discover(t, card, iso7816.Capabilities{})
		length := 0
		for at := -1; at <= length; at++ {
			card.spoil = func(ins byte, answer []byte) []byte {
				if ins != 0x50 {
					return answer
				}
				length = len(answer) - 2
				if at < 0 || at == length {
					return append(answer[:len(answer)-3], 0x90, 0x00) // cut
				}
				answer = bytes.Clone(answer)
				answer[at] ^= 0x80
				return answer
			}
			err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelMAC, KeyVersion: 0x30})
			keyData := at >= 0 && at < 10
			sequence := p.SCP == 3 && p.I&0x10 != 0 && at >= length-3 && at < length
			switch {
			case keyData && err != nil:
				t.Errorf("%s: key diversification data does not matter without diversification: %v", p, err)
			case !keyData && err == nil:
				t.Errorf("%s: byte %d is a lie, and believed", p, at)
			case sequence && !errors.Is(err, ErrCardChallenge):
				t.Errorf("%s: a challenge that does not follow from the sequence: %v", p, err)
			}
			if card.refused > 0 {
				t.Fatalf("%s: byte %d: the card was asked to authenticate", p, at)
			}
		}
	}
}

func TestBrokenResponseMACClosesTheChannel(t *testing.T) {
	for p, levels := range known() {
		for _, level := range levels {
			if !level.has(RMAC) {
				continue
			}
			for name, spoil := range map[string]func([]byte) []byte{
				"a bit of the data": func(b []byte) []byte { b[0] ^= 1; return b },
				"a bit of the MAC":  func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
				"the status word":   func(b []byte) []byte { b[len(b)-2], b[len(b)-1] = 0x63, 0x10; return b },
				"no MAC":            func([]byte) []byte { return []byte{0x90, 0x00} },
				"cut":               func(b []byte) []byte { return append(b[:5], 0x90, 0x00) },
			} {
				card, keys := newFakeCard(t, p, 16)
				d := discover(t, card, iso7816.Capabilities{})
				if err := d.Open(t.Context(), Credentials{Keys: keys, Level: level}); err != nil {
					t.Fatal(err)
				}
				card.spoil = func(_ byte, answer []byte) []byte { return spoil(bytes.Clone(answer)) }
				if _, err := d.GetDataOf(t, key(20, 1)); !errors.Is(err, ErrResponseMAC) {
					t.Errorf("%s %s, %s: %v", p, level, name, err)
				}
				card.spoil = nil
				if _, err := d.GetDataOf(t, nil); !errors.Is(err, ErrSessionClosed) {
					t.Errorf("%s %s, %s: the channel is still open: %v", p, level, name, err)
				}
			}
		}
	}
}

func TestErrorsAreNotProtected(t *testing.T) {
	card, keys := newFakeCard(t, Protocol{3, 0x70}, 16)
	card.handle = func(iso7816.Command) ([]byte, uint16) { return nil, 0x6A88 }
	d := discover(t, card, iso7816.Capabilities{})
	if err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelFull}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := d.GetDataOf(t, nil); iso7816.StatusOf(err) != 0x6A88 {
			t.Error(err)
		}
	}
}

func TestRefusedProtocols(t *testing.T) {
	for _, test := range []struct {
		p    Protocol
		want string
	}{
		{Protocol{2, 0x0A}, "initiated implicitly"}, {Protocol{2, 0x0B}, "initiated implicitly"},
		{Protocol{2, 0x1A}, "initiated implicitly"}, {Protocol{2, 0x1B}, "initiated implicitly"},
		{Protocol{2, 0x24}, "not defined"}, {Protocol{1, 0x35}, "not defined"}, {Protocol{3, 0x40}, "not defined"},
	} {
		card, keys := newFakeCard(t, test.p, 16)
		d := discover(t, card, iso7816.Capabilities{})
		err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelMAC})
		if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.p.String()) {
			t.Errorf("%s: %v", test.p, err)
		}
	}
}

func TestRefusedCredentials(t *testing.T) {
	for name, test := range map[string]struct {
		p      Protocol
		change func(*Credentials)
		want   error
	}{
		"R-MAC without support":         {Protocol{2, 0x15}, func(c *Credentials) { c.Level = LevelRMAC }, ErrProtocol},
		"R-ENCRYPTION without support":  {Protocol{3, 0x30}, func(c *Credentials) { c.Level = LevelFull }, ErrProtocol},
		"C-DECRYPTION alone":            {Protocol{3, 0x70}, func(c *Credentials) { c.Level = CDecryption }, ErrProtocol},
		"another key version":           {Protocol{3, 0x70}, func(c *Credentials) { c.KeyVersion = 1 }, ErrKeyVersion},
		"AES keys of 24 bytes in SCP02": {Protocol{2, 0x15}, func(c *Credentials) { c.Keys = mustKeys(24) }, ErrKeyFormat},
		"three keys for one":            {Protocol{2, 0x14}, func(c *Credentials) { c.Keys = mustKeys(16) }, ErrKeyFormat},
		"another protocol":              {Protocol{2, 0x15}, func(c *Credentials) { c.Protocol = Protocol{3, 0x70} }, ErrProtocol},
		"another option":                {Protocol{3, 0x70}, func(c *Credentials) { c.Protocol = Protocol{3, 0x10} }, ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			card, keys := newFakeCard(t, test.p, 16)
			d := discover(t, card, iso7816.Capabilities{})
			c := Credentials{Keys: keys, Level: LevelMAC}
			test.change(&c)
			if err := d.Open(t.Context(), c); !errors.Is(err, test.want) || card.refused > 0 {
				t.Errorf("%v", err)
			}
		})
	}
}

func mustKeys(n int) *KeySet {
	k, err := NewKeySet(key(n, 1), key(n, 2), key(n, 3))
	if err != nil {
		panic(err)
	}
	return k
}

// TestChallengeOfSCP02 is a card that announces a pseudo-random challenge
// and does not send it, as many do.
func TestChallengeOfSCP02(t *testing.T) {
	card, keys := newFakeCard(t, Protocol{2, 0x55}, 16)
	d := discover(t, card, iso7816.Capabilities{})
	if err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelMAC}); err != nil || d.Session().ChallengeVerified {
		t.Errorf("a random challenge: %v, verified %t", err, d.Session().ChallengeVerified)
	}
	seed := make([]byte, 16)
	copy(seed, []byte{1, 1, card.sequence[0], card.sequence[1]})
	card.challenge = alg3(ede(card.mac, seed, make([]byte, 8)), card.aid, make([]byte, 8))[:6]
	if err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelMAC}); err != nil || !d.Session().ChallengeVerified {
		t.Errorf("the defined challenge: %v, verified %t", err, d.Session().ChallengeVerified)
	}
}

// TestHostRefused is a card that has the keys and still does not want us, or
// does not say.
func TestHostRefused(t *testing.T) {
	for status, want := range map[iso7816.Status]error{
		0x6300: ErrHostRefused, 0x6982: ErrHostRefused, 0x6983: ErrHostRefused,
		0x6310: ErrHostUnclear, 0x63C1: ErrHostUnclear, 0x6985: ErrHostUnclear, 0x6F00: ErrHostUnclear, 0x6C10: ErrHostUnclear,
	} {
		card, keys := newFakeCard(t, Protocol{3, 0x70}, 16)
		card.spoil = func(ins byte, answer []byte) []byte {
			if ins == 0x82 {
				return []byte{byte(status >> 8), byte(status)}
			}
			return answer
		}
		d := discover(t, card, iso7816.Capabilities{})
		err := d.Open(t.Context(), Credentials{Keys: keys, Level: LevelMAC})
		if !errors.Is(err, want) || iso7816.StatusOf(err) != status {
			t.Error(err)
		}
	}
}

// TestHas asks cards which keys they have: nothing that they count is sent.
func TestHas(t *testing.T) {
	for _, p := range []Protocol{{1, 0x05}, {2, 0x15}, {3, 0x70}} {
		card, keys := newFakeCard(t, p, 16)
		card.spoil = func(ins byte, answer []byte) []byte {
			if ins == 0x82 {
				t.Error("EXTERNAL AUTHENTICATE was sent")
			}
			return answer
		}
		d := discover(t, card, iso7816.Capabilities{})
		if has, err := d.Has(t.Context(), Credentials{Keys: keys, Level: LevelMAC}); !has || err != nil {
			t.Errorf("%s: the card's keys: %v, %v", p, has, err)
		}
		if has, err := d.Has(t.Context(), Credentials{Keys: DefaultKeySet(), Level: LevelMAC}); has || err != nil {
			t.Errorf("%s: other keys: %v, %v", p, has, err)
		}
		if d.Session() != nil {
			t.Errorf("%s: a session is open", p)
		}
	}
}

// TestNoKeysInText sees that keys are in no way of printing what holds them.
func TestNoKeysInText(t *testing.T) {
	card, keys := newFakeCard(t, Protocol{2, 0x55}, 16)
	d := discover(t, card, iso7816.Capabilities{})
	c := Credentials{Keys: keys, Level: LevelMAC}
	if err := d.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X"} {
		text := strings.ToUpper(fmt.Sprintf(verb, keys) + fmt.Sprintf(verb, c))
		if strings.Contains(text, "10111213") || strings.Contains(text, "16 17 18 19") {
			t.Errorf("%s: %s", verb, text)
		}
	}
}
