package openpgp

import (
	"bytes"
	"context"
	"encoding/hex"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// liar answers every command with the next of its answers, and then with the
// first again.
type liar struct {
	answers [][]byte
	n       int
}

func (l *liar) Transmit(context.Context, []byte) ([]byte, error) {
	answer := l.answers[l.n%len(l.answers)]
	l.n++
	return bytes.Clone(answer), nil
}

// related is an answer to GET DATA 6E: a key in the first slot, the others
// empty.
func related() []byte {
	b, err := hex.DecodeString("" +
		"6E8200EF4F10D276000124010304FFFE1234567800005F520A0031F573C001600590007F660802021000020210007381C2C0" +
		"0A750000FF080000FF0001C106010800002000C206010800002000C309132A8648CE3D030107C40700202020030003C53C01" +
		"0101010101010101010101010101010101010100000000000000000000000000000000000000000000000000000000000000" +
		"000000000000000000C63C000000000000000000000000000000000000000000000000000000000000000000000000000000" +
		"000000000000000000000000000000000000000000CD0C6B49D2000000000000000000DE06010102000300")
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzCard lets a card answer what it likes: nothing may panic, hang or grow
// without bound.
func FuzzCard(f *testing.F) {
	ok := []byte{0x90, 0x00}
	f.Add(ok, append(related(), ok...), []byte("\x7F\x49\x43\x86\x41\x04\x90\x00"))
	f.Add([]byte{0x63, 0xC2}, []byte("\xF9\x03\x81\x01\x03\x90\x00"), []byte{0x61, 0x10})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		ctx := t.Context()
		ch := iso7816.NewChannel(&liar{answers: [][]byte{ok, append(related(), ok...), a, b, c}}, iso7816.Capabilities{})
		card, err := Select(ctx, ch)
		if err != nil {
			return
		}
		_, _ = card.ApplicationRelatedData(ctx)
		_ = card.Verify(ctx, PW1, secret.New([]byte("123456")))
		_, _ = card.PublicKey(ctx, Authentication)
		_, _ = card.AlgorithmInformation(ctx)
		_, _ = card.Certificate(ctx, Signature)
		_, _ = card.Cardholder(ctx)
		_, _ = card.SignatureCount(ctx)
		_, _ = card.Objects(ctx)
		_, _ = card.Sign(ctx, Authentication, make([]byte, 32))
	})
}

func FuzzParseApplicationRelatedData(f *testing.F) {
	f.Add(related())
	f.Fuzz(func(t *testing.T, raw []byte) {
		data, err := ParseApplicationRelatedData(raw)
		if err != nil {
			return
		}
		for _, slot := range Slots() {
			_ = data.Key(slot).Attributes.Name()
			_ = data.HasCertificate(slot)
		}
		_ = data.Capabilities()
		_ = data.LifeCycle()
	})
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add([]byte("\x7F\x49\x04\x86\x02\x04\x01"), []byte("\x13\x2A\x86\x48\xCE\x3D\x03\x01\x07"))
	f.Add([]byte("\x81\x01\x03\x82\x01\x03"), []byte("\x01\x08\x00\x00\x20\x00"))
	f.Fuzz(func(t *testing.T, raw, attributes []byte) {
		parsed, err := ParseAttributes(attributes)
		if err != nil {
			return
		}
		if pub, err := ParsePublicKey(raw, parsed); err == nil && pub == nil {
			t.Fatal("neither a key nor an error")
		}
	})
}

func FuzzParseKDF(f *testing.F) {
	f.Add([]byte("\x81\x01\x03\x82\x01\x08\x83\x04\x00\x00\x10\x00\x84\x08abcdefgh"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if kdf, err := ParseKDF(raw); err == nil && kdf.count < 1<<20 {
			_ = kdf.Derive(PW3, []byte("12345678"))
		}
	})
}

func TestParseApplicationRelatedData(t *testing.T) {
	data, err := ParseApplicationRelatedData(related())
	if err != nil {
		t.Fatal(err)
	}
	if data.AID.Serial() != "FFFE12345678" || data.AID.VersionString() != "3.4" {
		t.Errorf("%s, version %s", data.AID.Serial(), data.AID.VersionString())
	}
	first, third := data.Key(Signature), data.Key(Authentication)
	if first.State != KeyGenerated || first.Attributes.Name() != "rsa2048" || first.Created.Unix() != 0x6B49D200 || first.Fingerprint[0] != 1 {
		t.Errorf("%+v", first)
	}
	if third.State != KeyAbsent || third.Attributes.Name() != "p256" || !third.Created.IsZero() {
		t.Errorf("%+v", third)
	}
	if p := data.Passwords; p.PW1 != (Password{32, 3, true}) || p.RC != (Password{32, 0, true}) || p.PW3 != (Password{32, 3, true}) || p.Several {
		t.Errorf("%+v", p)
	}
	if e := data.Extended; !e.KDF || !e.KeyImport || !e.AlgorithmsChangeable || !e.MSE || e.MaxCertificate != 0x0800 {
		t.Errorf("%+v", e)
	}
	want := iso7816.Capabilities{ExtendedLength: true, MaxCommand: 0x1000, MaxAnswer: 0x1000}
	if can := data.Capabilities(); can != want {
		t.Errorf("%+v", can)
	}
	if !data.LifeCycle() {
		t.Error("the life cycle can be managed")
	}
}

// modulo answers short commands with the length of the answer modulo 256.
type modulo struct{ answer []byte }

func (m modulo) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	cmd, extended, err := iso7816.ParseCommand(apdu)
	if err != nil || cmd.INS == iso7816.InsSelect {
		return []byte{0x90, 0x00}, err
	}
	answer := m.answer
	if !extended {
		answer = answer[:len(answer)%256]
	}
	return append(bytes.Clone(answer), 0x90, 0x00), nil
}

func TestAnAnswerCutToItsLengthModulo256IsReadAgain(t *testing.T) {
	long := iso7816.AppendTLV(nil, 0x6E, template(related(), 0x6E), iso7816.AppendTLV(nil, 0x5E, make([]byte, 200)))
	card, err := Select(t.Context(), iso7816.NewChannel(modulo{long}, iso7816.Capabilities{}))
	if err != nil {
		t.Fatal(err)
	}
	data, err := card.ApplicationRelatedData(t.Context())
	if err != nil || data.AID.Serial() != "FFFE12345678" {
		t.Fatalf("%+v, %v", data, err)
	}
}

func TestTruncatedAnswersAreErrors(t *testing.T) {
	whole := related()
	for n := range whole {
		if _, err := ParseApplicationRelatedData(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes pass", n, len(whole))
		}
	}
}
