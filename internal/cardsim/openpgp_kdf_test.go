package cardsim

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// TestDerive is the example of section 4.3.2.
func TestDerive(t *testing.T) {
	k := kdf{hash: crypto.SHA256, octets: 100000}
	for _, test := range []struct{ password, salt, want string }{
		{factoryPW1, "01234567", "773784A602B6C81E3F092F4D7D00E17CC822D88F7360FCF2D2EF2D9D901F44B6"},
		{factoryPW3, "ABCDEFGH", "2675D6164A0D4827D1D00C7EEA620D015C00030A1CAB38B4D0DD600B27DC9630"},
	} {
		equal(t, "derived password", k.derive([]byte(test.salt), []byte(test.password)), unhex(t, test.want))
	}
}

func TestKDF(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.put(tagResettingCode, []byte("12345678"))
	k, err := newKDF(bytes.NewReader(bytes.Repeat([]byte("saltsalt"), 3)), []byte(factoryPW1), []byte(factoryPW3))
	if err != nil {
		t.Fatal(err)
	}
	do := k.encode()
	if len(do) != 110 {
		t.Fatalf("the KDF-DO has %d bytes, want 110", len(do))
	}
	h.put(tagKDF, do)
	equal(t, "DO F9", h.get(tagKDF), do)
	h.wantTries(3, 0, 3) // no resetting code any more

	h.verify(0x81, factoryPW1, 0x63C2)
	h.verify(0x81, string(k.initialPW1), 0x9000)
	h.verify(0x83, string(k.initialPW3), 0x9000)
	fresh := k.derive(k.saltPW1, []byte("another PIN"))
	h.command(iso7816.InsChangeReferenceData, 0, 0x81, append(bytes.Clone(k.initialPW1), "another PIN"...), 0x6700)
	h.command(iso7816.InsChangeReferenceData, 0, 0x81, append(bytes.Clone(k.initialPW1), fresh...), 0x9000)
	h.verify(0x82, string(fresh), 0x9000)
	h.putStatus(tagResettingCode, []byte("12345678"), 0x6700)

	h.put(tagKDF, unhex(t, "810100"))
	h.verify(0x81, factoryPW1, 0x9000)
	h.verify(0x83, factoryPW3, 0x9000)
}

func TestKDFWithoutInitialPasswordsKeepsThem(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.put(tagKDF, unhex(t, "810103820108 8304000186A0 8408 0102030405060708"))
	h.verify(0x81, factoryPW1, 0x9000)
}

func TestMalformedKDF(t *testing.T) {
	h := opened(t, "")
	h.admin()
	for _, do := range []string{
		"", "8101", "820108", "810102", "810103", "81010382010883040001",
		"810103820109 8304000186A0 8408 0102030405060708", // hash unknown
		"810103820108 8304000186A0 8407 01020304050607",
		"810103820108 8304000186A0 8408 0102030405060708 8501 00",
		"810103820108 8304000186A0 8408 0102030405060708 8704 00000000",
	} {
		h.putStatus(tagKDF, unhex(t, do), 0x6A80)
	}
	equal(t, "DO F9", h.get(tagKDF), unhex(t, "810100"))
}

func TestKDFFromTheFactory(t *testing.T) {
	h := opened(t, "kdf")
	k, err := parseKDF(h.get(tagKDF))
	if err != nil || !k.active() {
		t.Fatalf("DO F9 %X: %v", h.get(tagKDF), err)
	}
	h.verify(0x83, factoryPW3, 0x63C2)
	h.verify(0x83, string(k.derive(k.saltPW3, []byte(factoryPW3))), 0x9000)
	h.verify(0x81, string(k.derive(k.saltPW1, []byte(factoryPW1))), 0x9000)
}
