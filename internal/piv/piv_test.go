package piv

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// script answers commands in hex; another one is 6D00.
type script map[string]string

func (s script) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	answer, ok := s[hex.EncodeToString(apdu)]
	if !ok {
		answer = "6d00"
	}
	return hex.DecodeString(answer)
}

const (
	selection       = "00a4040009a0000003080000100000"
	selectedYubiKey = "61114f0600001000010079074f05a0000003089000"
	getDiscovery    = "00cb3fff035c017e00"
	getCHUID        = "00cb3fff055c035fc10200"
)

func selected(t *testing.T, s script) *Card {
	t.Helper()
	s[selection] = selectedYubiKey
	c, err := Select(t.Context(), iso7816.NewChannel(s, iso7816.Capabilities{}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSelect(t *testing.T) {
	for name, test := range map[string]struct {
		script script
		is     bool
	}{
		"a YubiKey":                         {script{selection: selectedYubiKey}, true},
		"the whole AID":                     {script{selection: "610d4f0ba0000003080000100001009000"}, true},
		"in control information":            {script{selection: "6f0d840ba0000003080000100001009000"}, true},
		"not there":                         {script{selection: "6a82"}, false},
		"a Java card without it":            {script{selection: "6999"}, false},
		"9000 to every name":                {script{selection: "9000"}, false},
		"9000 to every name, and no data":   {script{selection: "9000", getDiscovery: "6a82", getCHUID: "6a82"}, false},
		"without a name, with a discovery":  {script{selection: "9000", getDiscovery: "7e044f02a0009000"}, true},
		"without a name, with a CHUID":      {script{selection: "9000", getDiscovery: "6a82", getCHUID: "530334013f9000"}, true},
		"without a name, with empty object": {script{selection: "9000", getDiscovery: "53009000", getCHUID: "53009000"}, false},
	} {
		_, err := Select(t.Context(), iso7816.NewChannel(test.script, iso7816.Capabilities{}))
		if (err == nil) != test.is || err != nil && !errors.Is(err, ErrNotPIV) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGetData(t *testing.T) {
	for answer, want := range map[string]string{"5302abcd9000": "abcd", "53009000": "", "6a82": "", "6a83": "", "6a88": "", "9000": ""} {
		value, err := selected(t, script{getCHUID: answer}).GetData(t.Context(), CHUID)
		if err != nil || hex.EncodeToString(value) != want {
			t.Errorf("%s: %X, %v", answer, value, err)
		}
	}
	for _, answer := range []string{"5303abcd9000", "5401ab9000", "5301ab009000"} {
		if value, err := selected(t, script{getCHUID: answer}).GetData(t.Context(), CHUID); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %X, %v", answer, value, err)
		}
	}
	if value, err := selected(t, script{getCHUID: "6982"}).GetData(t.Context(), CHUID); value != nil || !Unanswered(err) {
		t.Errorf("%X, %v", value, err)
	}
}

func TestCertificateLength(t *testing.T) {
	const getCertificate = "00cb3fff055c035fc10500"
	for answer, want := range map[string]int{
		"53820200" + "708201f3" + "3082": 499, "5308" + "7001" + "30" + "710100" + "fe00": 1, "5302" + "7000": 0, "5300": 0, "": 0,
		"5304" + "71017000": -1, "5303" + "70": -1, "53": -1, "4201" + "70": -1,
	} {
		length, err := selected(t, script{getCertificate: answer + "6110"}).CertificateLength(t.Context(), Authentication)
		if answer == "" {
			length, err = selected(t, script{getCertificate: "6a82"}).CertificateLength(t.Context(), Authentication)
		}
		if (want < 0) != errors.Is(err, ErrMalformed) || want >= 0 && length != want {
			t.Errorf("%s: %d, %v", answer, length, err)
		}
	}
}

func TestTries(t *testing.T) {
	const query, reset = "00200080", "0020ff80"
	for name, test := range map[string]struct {
		script script
		left   int
		told   bool
	}{
		"63Cx":                    {script{query: "63c5"}, 5, true},
		"63C0":                    {script{query: "63c0"}, 0, true},
		"old":                     {script{query: "6303"}, 3, true},
		"blocked":                 {script{query: "6983"}, 0, true},
		"not told":                {script{query: "6300"}, 0, false},
		"refused":                 {script{query: "6982"}, 0, false},
		"verified":                {script{query: "9000", reset: "6a86"}, 0, false},
		"verified, taken back":    {script{query: "9000", reset: "9000"}, 0, false},
		"without VERIFY":          {script{}, 0, false},
		"one try is not sixteen":  {script{query: "63c1"}, 1, true},
		"not a counter of PIV's":  {script{query: "6310"}, 0, false},
		"an answer without sense": {script{query: "6283"}, 0, false},
	} {
		left, told, err := selected(t, test.script).Tries(t.Context(), ApplicationPIN)
		if (name == "verified") != errors.Is(err, ErrVerified) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && name != "verified" || told != test.told || told && left != test.left {
			t.Errorf("%s: %d, %v, %v", name, left, told, err)
		}
	}
}

func TestPINOf(t *testing.T) {
	for policy, want := range map[string]PINReference{
		"5f2f024000": ApplicationPIN, "5f2f026010": ApplicationPIN, "5f2f026020": GlobalPIN, "5f2f022020": GlobalPIN,
		"": ApplicationPIN, "5f2f0120": ApplicationPIN, "5f2f": ApplicationPIN,
	} {
		object, _ := hex.DecodeString(policy)
		if got := PINOf(object); got != want {
			t.Errorf("%s: %02X", policy, byte(got))
		}
	}
}

func TestMetadata(t *testing.T) {
	const slot, pin = "00f7009a00", "00f7008000"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, _ := key.PublicKey.Bytes()
	whole := "010111" + "02020301" + "030101" + "0443" + "8641" + hex.EncodeToString(point)
	c := selected(t, script{slot: whole + "9000", pin: "0101ff0501010602050" + "39000"})
	m, err := c.Metadata(t.Context(), 0x9A)
	if err != nil || m.Algorithm != P256 || m.PIN != PINAlways || m.Touch != TouchNever || m.Origin != 1 || !key.PublicKey.Equal(m.Public) {
		t.Errorf("%+v, %v", m, err)
	}
	m, err = c.Metadata(t.Context(), byte(ApplicationPIN))
	if err != nil || !m.Counted || m.Total != 5 || m.Left != 3 || m.IsDefault == nil || !*m.IsDefault {
		t.Errorf("%+v, %v", m, err)
	}
	// Every part may be missing, and a public key that cannot be one.
	for _, answer := range []string{"9000", "0101119000", "0101110402860" + "09000", "0101fe9000", "0102039000", "0600" + "9000"} {
		m, err := selected(t, script{slot: answer}).Metadata(t.Context(), 0x9A)
		if (err != nil && !errors.Is(err, ErrMalformed)) || m.Public != nil || m.Counted || m.IsDefault != nil {
			t.Errorf("%s: %+v, %v", answer, m, err)
		}
	}
	for _, answer := range []string{"6a88", "6a86", "6a82", "6a80"} {
		if _, err := selected(t, script{slot: answer}).Metadata(t.Context(), 0x9A); !errors.Is(err, ErrEmpty) {
			t.Errorf("%s: %v", answer, err)
		}
	}
	lacking := script{slot: "6d00"}
	c = selected(t, lacking)
	for range 2 {
		if _, err := c.Metadata(t.Context(), 0x9A); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		lacking[slot] = "0101119000" // it is not asked again
	}
}

func TestIdentity(t *testing.T) {
	c := selected(t, script{"00fd000000": "0504039000", "00f8000000": "00bc614e9000"})
	if v, err := c.Version(t.Context()); err != nil || v.String() != "5.4.3" {
		t.Error(v, err)
	}
	if n, err := c.Serial(t.Context()); err != nil || n != 12345678 {
		t.Error(n, err)
	}
	c = selected(t, script{"00fd000000": "05049000", "00f8000000": "614e9000"})
	if v, err := c.Version(t.Context()); !errors.Is(err, ErrMalformed) {
		t.Error(v, err)
	}
	if n, err := c.Serial(t.Context()); !errors.Is(err, ErrMalformed) {
		t.Error(n, err)
	}
	guid := bytes.Repeat([]byte{7}, 16)
	if got, ok := GUID(iso7816.AppendTLV([]byte{0x30, 0x01, 0xD1}, 0x34, guid)); !ok || !bytes.Equal(got[:], guid) {
		t.Errorf("%X %v", got, ok)
	}
	for _, chuid := range [][]byte{nil, {0x34, 0}, iso7816.AppendTLV(nil, 0x34, make([]byte, 16))} {
		if got, ok := GUID(chuid); ok {
			t.Errorf("%X: %X", chuid, got)
		}
	}
}

// certificateOf is a certificate of a new key.
func certificateOf(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Floppy Head"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParseCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := certificateOf(t, key)
	packed := func(w io.WriteCloser, b *bytes.Buffer) []byte {
		if _, err := w.Write(der); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	var zipped, deflated, bomb bytes.Buffer
	object := func(value []byte, information ...byte) []byte {
		return append(iso7816.AppendTLV(iso7816.AppendTLV(nil, 0x70, value), 0x71, information), 0xFE, 0x00)
	}
	withGzip := packed(gzip.NewWriter(&zipped), &zipped)
	for name, good := range map[string][]byte{
		"plain": object(der, 0), "gzip": object(withGzip, 1), "zlib": object(packed(zlib.NewWriter(&deflated), &deflated), 1),
		"without information": iso7816.AppendTLV(nil, 0x70, der), "other bits": object(der, 0x80),
	} {
		if got, err := ParseCertificate(good); err != nil || !bytes.Equal(got, der) {
			t.Errorf("%s: %X, %v", name, got, err)
		}
	}
	w := gzip.NewWriter(&bomb)
	if _, err := w.Write(make([]byte, 1<<20)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"cut": object(der, 0)[:40], "not compressed": object(der, 1), "cut gzip": object(withGzip[:20], 1), "too much": object(bomb.Bytes(), 1),
	} {
		if got, err := ParseCertificate(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %X, %v", name, got, err)
		}
	}
	if got, err := ParseCertificate([]byte{0x70, 0x00, 0x71, 0x01, 0x00}); len(got) > 0 || err != nil {
		t.Errorf("%X, %v", got, err)
	}
	if public, err := PublicKeyOf(der); err != nil || !key.PublicKey.Equal(public) {
		t.Errorf("%v, %v", public, err)
	}
	for _, bad := range [][]byte{nil, der[:80], {0x30, 0x00}} {
		if _, err := PublicKeyOf(bad); !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	}
}

func TestPublicKeysThatAreNone(t *testing.T) {
	number := func(n int) []byte { return bytes.Repeat([]byte{0xFF}, n) }
	rsaKey := func(modulus, exponent []byte) []byte {
		return iso7816.AppendTLV(iso7816.AppendTLV(nil, 0x81, modulus), 0x82, exponent)
	}
	for name, test := range map[string]struct {
		algorithm Algorithm
		content   []byte
	}{
		"an even modulus": {RSA2048, rsaKey(append(number(255), 0xFE), []byte{1, 0, 1})}, "a short one": {RSA2048, rsaKey(number(64), []byte{3})},
		"a long one": {RSA2048, rsaKey(number(1024), []byte{3})}, "exponent 1": {RSA2048, rsaKey(number(256), []byte{1})},
		"a long exponent": {RSA2048, rsaKey(number(256), number(8))}, "no exponent": {RSA2048, iso7816.AppendTLV(nil, 0x81, number(256))},
		"not on the curve": {P256, iso7816.AppendTLV(nil, 0x86, append([]byte{4}, number(64)...))}, "nothing": {P384, nil},
		"a short point": {Ed25519, iso7816.AppendTLV(nil, 0x86, number(31))}, "of another algorithm": {Algorithm(0x2E), iso7816.AppendTLV(nil, 0x86, number(65))},
	} {
		if public, err := parsePublicKey(test.algorithm, test.content); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, public, err)
		}
	}
}

func TestSlots(t *testing.T) {
	if n := len(Slots()); n != 25 {
		t.Errorf("%d slots", n)
	}
	for slot, object := range map[Slot]Object{0x9A: 0x5FC105, 0x9C: 0x5FC10A, 0x9D: 0x5FC10B, 0x9E: 0x5FC101, 0x82: 0x5FC10D, 0x95: 0x5FC120, 0xF9: 0x5FFF01} {
		if slot.Certificate() != object {
			t.Errorf("%02X: %X", byte(slot), uint32(slot.Certificate()))
		}
	}
}

// liar answers every command with the next of its answers, and then with the first
// again.
type liar struct {
	answers [][]byte
	n       int
}

func (l *liar) Transmit(context.Context, []byte) ([]byte, error) {
	answer := l.answers[l.n%len(l.answers)]
	l.n++
	return bytes.Clone(answer), nil
}

// FuzzCard lets a card answer what it likes: nothing may panic, hang or grow without
// bound.
func FuzzCard(f *testing.F) {
	seed := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(seed("0101ff0501010602050"+"39000"), seed("5305700130710100"+"9000"), seed("7c0482024100"+"9000"))
	f.Add(seed("63c2"), seed("7e124f0ba0000003080000100001005f2f0240009000"), seed("6110"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		ctx := t.Context()
		ch := iso7816.NewChannel(&liar{answers: [][]byte{seed(selectedYubiKey), a, b, c}}, iso7816.Capabilities{})
		card, err := Select(ctx, ch)
		if err != nil {
			return
		}
		_, _ = card.Metadata(ctx, 0x9A)
		_, _ = card.Version(ctx)
		_, _ = card.Serial(ctx)
		_, _, _ = card.Tries(ctx, ApplicationPIN)
		_, _ = card.Certificate(ctx, Authentication)
		_, _ = card.CertificateLength(ctx, Authentication)
		if chuid, err := card.GetData(ctx, CHUID); err == nil {
			_, _ = GUID(chuid)
		}
		if statement, err := card.Attest(ctx, Authentication); err == nil {
			_, _ = PublicKeyOf(statement)
			_, _ = ParseStatement(statement)
		}
		_, _ = card.Use(ctx, Authentication, P256, make([]byte, 32))
	})
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte("\x01\x01\x11\x02\x02\x03\x01\x03\x01\x01\x04\x02\x86\x00"))
	f.Add([]byte("\x01\x01\xff\x05\x01\x01\x06\x02\x03\x03"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		m, err := parseMetadata(answer)
		if err == nil && m.Public != nil {
			if _, err := x509.MarshalPKIXPublicKey(m.Public); err != nil {
				t.Error(err)
			}
		}
		_, _ = m.Algorithm.Name()
		_, _ = m.PIN.String(), m.Touch.String()
	})
}

func FuzzParseCertificate(f *testing.F) {
	f.Add([]byte("\x70\x01\x30\x71\x01\x00\xfe\x00"))
	f.Add([]byte("\x70\x03\x1f\x8b\x08\x71\x01\x01"))
	f.Fuzz(func(t *testing.T, object []byte) {
		der, err := ParseCertificate(object)
		if err == nil {
			_, _ = PublicKeyOf(der)
		}
		_, _ = GUID(object)
		_ = PINOf(object)
	})
}

func FuzzParseHistory(f *testing.F) {
	f.Add([]byte("\xC1\x01\x02\xC2\x01\x00\xFE\x00"))
	f.Add([]byte("\xC1\x01\x01\xC2\x01\x03\xF3\x09http://xy\xFE\x00"))
	f.Add([]byte("\xC1\x02\x01\x01\xC2\x00"))
	f.Fuzz(func(t *testing.T, object []byte) {
		h, err := ParseHistory(object)
		if err != nil {
			return
		}
		again, err := ParseHistory(h.Object())
		if err != nil || again.OnCard != h.OnCard || again.OffCard != h.OffCard || h.OffCard > 0 && !bytes.Equal(again.URL, h.URL) {
			t.Errorf("%+v became %+v, %v", h, again, err)
		}
	})
}

// A renewed CHUID has another GUID and nothing else that is new.
func FuzzCHUID(f *testing.F) {
	fresh, err := NewCHUID(rand.Reader, time.Date(2036, 11, 29, 0, 0, 0, 0, time.UTC))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fresh)
	f.Add([]byte("\x30\x00\x34\x10ABCDEFGHIJKLMNOP\x3E\x01\x00\xFE\x00"))
	f.Add([]byte("\x34\x02AB\x35\x0820361129"))
	f.Fuzz(func(t *testing.T, chuid []byte) {
		_, _ = GUID(chuid)
		_, _ = Expires(chuid)
		renewed, err := RenewedCHUID(rand.Reader, chuid)
		if err != nil {
			return
		}
		before, err := iso7816.ParseTLVs(chuid)
		after, failed := iso7816.ParseTLVs(renewed)
		if err != nil || failed != nil || len(before) != len(after) || Signed(renewed) {
			t.Fatalf("%X became %X, %v, %v", chuid, renewed, err, failed)
		}
		for i := range before {
			guid := before[i].Tag == tagGUID && len(before[i].Value) == 16
			if before[i].Tag != after[i].Tag || bytes.Equal(before[i].Value, after[i].Value) == guid {
				t.Errorf("part %d: %X became %X", i, before[i].Value, after[i].Value)
			}
		}
	})
}

// What ykman and others keep in the administration data stays when cardctl writes it.
func FuzzProtection(f *testing.F) {
	f.Add([]byte("\x80\x03\x81\x01\x02"), true)
	f.Add([]byte("\x80\x1B\x81\x01\x03\x82\x10ABCDEFGHIJKLMNOP\x83\x04\x01\x02\x03\x04"), false)
	f.Add([]byte("\x88\x1A\x89\x18ABCDEFGHIJKLMNOPQRSTUVWX"), true)
	f.Fuzz(func(t *testing.T, object []byte, stored bool) {
		parseStoredKeys(object).Wipe()
		HoldsStoredKeys(object)
		p, err := parseProtection(object)
		if err != nil {
			return
		}
		again, err := parseProtection(p.object(stored))
		if err != nil || again.Stored != stored || again.Derived {
			t.Fatalf("%X: %+v, %v", object, again, err)
		}
		other := func(p Protection) (rest []iso7816.TLV) {
			for _, part := range p.content {
				if part.Tag != tagFlags && part.Tag != tagSalt {
					rest = append(rest, part)
				}
			}
			return rest
		}
		if before, after := other(p), other(again); fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("%v became %v", before, after)
		}
	})
}

func FuzzCertificateLength(f *testing.F) {
	f.Add([]byte("\x53\x08\x70\x01\x30\x71\x01\x00\xfe\x00"))
	f.Add([]byte("\x53\x82\x02\x00\x70\x82\x01\xf3\x30"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if length, err := certificateLength(answer); length < 0 || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%d, %v", length, err)
		}
	})
}
