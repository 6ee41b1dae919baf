package cardsim

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

func TestATR(t *testing.T) {
	for _, test := range []struct{ profile, historical string }{
		{"openpgp-3.4", "0031C573C001E0059000"},
		{"openpgp-2.0", "0031C573C00180059000"},
		{"extended-length-unannounced", "0031C573C00180059000"},
	} {
		atr := insert(t, test.profile).conn.ATR()
		check := byte(0)
		for _, b := range atr[1:] {
			check ^= b
		}
		if check != 0 {
			t.Errorf("%s: TCK of %X is wrong", test.profile, atr)
		}
		if n := int(atr[1] & 0x0F); n != 10 || len(atr) != 10+n+1 {
			t.Errorf("%s: %d historical bytes in %X", test.profile, n, atr)
		}
		equal(t, "historical bytes", atr[10:20], unhex(t, test.historical))
	}
}

// TestT0 is a card that speaks T=0 only: its ATR has neither bytes of T=1 nor a
// check byte, and what answers a command with data is fetched.
func TestT0(t *testing.T) {
	h := insert(t, "t0")
	equal(t, "ATR", h.conn.ATR(), unhex(t, "3B5A18FF"+"0031C573C00180059000"))
	h.expect(selectOpenPGP, 0x6114)
	equal(t, "FCI", h.expect("00C0000014", 0x9000), unhex(t, "6F128410D276000124010304FFFE123456780000"))
	h.expect("00A4040C06D27600012401", 0x9000) // asks for none
	h.expect("00CA004F000000", 0x6700)         // extended length
}

func TestClassByte(t *testing.T) {
	for _, test := range []struct {
		apdu string
		want iso7816.Status
	}{
		{"00CA004F00", 0x9000},
		{"01CA004F00", 0x6881},
		{"03CA004F00", 0x6881},
		{"40CA004F00", 0x6881},
		{"04CA004F00", 0x6882},
		{"0CCA004F00", 0x6882},
		{"20CA004F00", 0x6E00},
		{"80CA004F00", 0x6E00},
		{"FFCA004F00", 0x6E00},
		{"0001000000", 0x6D00},
		{"0070000001", 0x6D00},
		{"00CA00", 0x6700},
		{"00CA004F0002", 0x6700},
		{"0020008108313233", 0x6700},
	} {
		opened(t, "").expect(test.apdu, test.want)
	}
}

func TestNothingSelected(t *testing.T) {
	h := insert(t, "")
	h.expect("00CA004F00", 0x6D00)
	h.expect("80CA004F00", 0x6E00)
}

func TestSelect(t *testing.T) {
	const aid = "D276000124010304FFFE123456780000"
	for _, test := range []struct {
		name, apdu string
		want       iso7816.Status
		data       string
	}{
		{"partial, without Le", selectOpenPGP, 0x9000, ""},
		{"partial, FCI", selectOpenPGP + "00", 0x9000, "6F128410" + aid},
		{"partial, FCP", "00A4040406D2760001240100", 0x9000, "62128410" + aid},
		{"partial, FMD", "00A4040806D2760001240100", 0x9000, "64128410" + aid},
		{"partial, nothing", "00A4040C06D2760001240100", 0x9000, ""},
		{"full", "00A4040010" + aid + "00", 0x9000, "6F128410" + aid},
		{"RID only", "00A4040005D27600012400", 0x9000, "6F128410" + aid},
		{"last", "00A4040106D2760001240100", 0x9000, "6F128410" + aid},
		{"another serial number", "00A4040010D276000124010304FFFE12345679000000", 0x6A82, ""},
		{"longer than any AID", "00A4040011" + aid + "0000", 0x6A82, ""},
		{"another application", "00A4040007A000000527200100", 0x6A82, ""},
		{"no name", "00A4040000", 0x6A82, ""},
		{"MF", "00A4000C023F00", 0x6A82, ""},
		{"by path", "00A408000250154600", 0x6700, ""},
		{"by path, well formed", "00A40800025015", 0x6A86, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := insert(t, "")
			equal(t, "answer", h.expect(test.apdu, test.want), unhex(t, test.data))
		})
	}
}

func TestSelectNextOccurrence(t *testing.T) {
	h := opened(t, "")
	h.expect("00A4040206D2760001240100", 0x6A82)
	h.expect("00CA004F00", 0x9000) // the application stays selected
}

func TestSelectionForgetsVerification(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.selectOpenPGP()
	h.command(iso7816.InsVerify, 0, 0x83, nil, 0x63C3)
}

func TestChaining(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.expect("10DA5F50036162 63", 0x9000)
	h.expect("00DA5F5002 6465", 0x9000)
	equal(t, "URL", h.get(tagURL), []byte("abcde"))

	h.expect("10DA5F5003616263", 0x9000)
	h.expect("00CA5F5000", 0x6883) // the chain ends here
	equal(t, "URL", h.get(tagURL), []byte("abcde"))

	h.expect("10DA5F5003616263", 0x9000)
	h.expect("00C0000000", 0x6883)
}

func TestChainTooLong(t *testing.T) {
	h := opened(t, "")
	h.admin()
	link := append([]byte{0x10, 0xDA, 0x7F, 0x21, 0xFF}, make([]byte, 255)...)
	for sent := 255; sent <= 4096; sent += 255 {
		if _, status := h.send(link); status != iso7816.StatusOK {
			t.Fatalf("after %d bytes: %v", sent, status)
		}
	}
	if _, status := h.send(link); status != iso7816.StatusWrongLength {
		t.Fatalf("beyond the limit: %v", status)
	}
	h.expect("00CA004F00", 0x9000)
}

func TestChainEndsWithReset(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.expect("10DA5F5003616263", 0x9000)
	if err := h.conn.Close(true); err != nil {
		t.Fatal(err)
	}
	h.reconnect()
	h.selectOpenPGP()
}

func TestGetResponse(t *testing.T) {
	h := opened(t, "")
	whole := h.get(tagApplicationRelated)
	if len(whole) <= 256 {
		t.Fatalf("%d bytes do not need GET RESPONSE", len(whole))
	}
	part := h.expect("00CA006E00", 0x6100|iso7816.Status(len(whole)-256))
	rest := h.expect("00C0000000", 0x9000)
	equal(t, "both parts", append(part, rest...), whole)
	h.expect("00C0000000", 0x6985)

	// Piece by piece, and without Le at first.
	h.expect("00CA004F", 0x6110)
	equal(t, "first half", h.expect("00C0000008", 0x6108), whole[6:14])
	equal(t, "second half", h.expect("00C0000008", 0x9000), whole[14:22])

	// Any other command gives the rest up.
	h.expect("00CA006E00", 0x6100|iso7816.Status(len(whole)-256))
	h.expect("00CA00C400", 0x9000)
	h.expect("00C0000000", 0x6985)
	h.expect("00CA006E00", 0x6100|iso7816.Status(len(whole)-256))
	h.expect("00C0010000", 0x6B00)
}

func TestShortLe(t *testing.T) {
	h := opened(t, "")
	equal(t, "4 bytes", h.expect("00CA004F04", 0x610C), unhex(t, "D2760001"))
	equal(t, "extended Le", h.expect("00CA004F000010", 0x9000), unhex(t, "D276000124010304FFFE123456780000"))
}

func TestExtendedLength(t *testing.T) {
	h := opened(t, "")
	h.admin()
	value := bytes.Repeat([]byte{0x30}, 2048)
	h.put(tagCertificate, value)
	equal(t, "certificate", h.get(tagCertificate), value)
}

func TestConnections(t *testing.T) {
	card, err := NewCard(Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	h.selectOpenPGP()
	h.admin()
	if _, err := card.Connect(context.Background()); !errors.Is(err, ErrBusy) {
		t.Fatalf("a second connection: %v", err)
	}

	// Without reset the next one finds the card as it was left.
	if err := h.conn.Close(false); err != nil {
		t.Fatal(err)
	}
	old := h.conn
	h.reconnect()
	h.command(iso7816.InsVerify, 0, 0x83, nil, iso7816.StatusOK)
	if _, err := old.Transmit(context.Background(), unhex(t, "00CA004F00")); !errors.Is(err, iso7816.ErrCardRemoved) {
		t.Fatalf("a closed connection: %v", err)
	}

	if err := h.conn.Close(true); err != nil {
		t.Fatal(err)
	}
	h.reconnect()
	h.expect("00CA004F00", 0x6D00)

	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := card.Connect(context.Background()); err == nil {
		t.Fatal("a closed card can be connected to")
	}
}

func TestLatencyEndsWithContext(t *testing.T) {
	card, err := NewCard(Options{Latency: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	h := hold(t, card)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if _, err := h.conn.Transmit(ctx, unhex(t, selectOpenPGP)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if n := card.Traffic().APDUs; n != 0 {
		t.Fatalf("%d APDUs reached the card", n)
	}
}

func TestTraffic(t *testing.T) {
	h := opened(t, "")
	h.expect("00CA004F00", 0x9000)
	want := Traffic{APDUs: 2, Sent: 11 + 5, Received: 2 + 18}
	if got := h.card.Traffic(); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	h.admin()
	if got := h.card.Traffic().Writes; got != 2 {
		t.Fatalf("VERIFY wrote %d times, want 2: before the comparison and after it", got)
	}
}
