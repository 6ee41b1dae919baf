package cardsim

import (
	"bytes"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const certificateReference = "60045C027F21"

func (h *host) selectCertificate(occurrence byte, want iso7816.Status) {
	h.t.Helper()
	h.command(iso7816.InsSelectData, occurrence, 0x04, unhex(h.t, certificateReference), want)
}

func TestCertificates(t *testing.T) {
	h := opened(t, "")
	h.admin()
	values := [][]byte{{0x30, 0}, {0x30, 1, 1}, {0x30, 2, 2, 2}} // AUT, DEC, SIG
	for i, value := range values {
		h.selectCertificate(byte(i), 0x9000)
		h.put(tagCertificate, value)
	}
	h.selectCertificate(1, 0x9000)
	equal(t, "DEC", h.get(tagCertificate), values[1])
	h.get(tagApplicationRelated)
	equal(t, "DEC again", h.get(tagCertificate), values[1])
	h.selectCertificate(3, 0x6A88)

	h.selectOpenPGP()
	equal(t, "AUT", h.get(tagCertificate), values[0])
	next := func(want iso7816.Status) []byte {
		t.Helper()
		return h.query(iso7816.InsGetNextData, 0x7F, 0x21, nil, want)
	}
	equal(t, "next", next(0x9000), values[1])
	equal(t, "next but one", next(0x9000), values[2])
	next(0x6A88)
	equal(t, "still SIG", h.get(tagCertificate), values[2])

	h.admin()
	h.put(tagCertificate, nil)
	h.selectOpenPGP()
	equal(t, "AUT", h.get(tagCertificate), values[0])
	h.selectCertificate(2, 0x9000)
	equal(t, "SIG, removed", h.get(tagCertificate), nil)
	h.query(iso7816.InsGetNextData, 0x00, 0x6E, nil, 0x6A88)
}

func TestSelectDataRefusals(t *testing.T) {
	h := opened(t, "")
	h.expect("00A5010006"+certificateReference, 0x6B00)
	h.expect("00A5010405"+"60045C027F", 0x6A80)
	h.expect("00A5010404"+"5C027F21", 0x6A80)
	h.expect("00A5010405"+"60035C014F", 0x6A88)
}

func TestOneCertificateBeforeVersion3(t *testing.T) {
	h := opened(t, "openpgp-2.0")
	h.admin()
	h.put(tagCertificate, []byte{0x30, 0})
	h.expect("00A5010406"+certificateReference, 0x6D00)
	h.expect("00CC7F2100", 0x6D00)
	equal(t, "certificate", h.expect("00CA7F2100", 0x9000), []byte{0x30, 0})
}

func TestCertificateLimitThatLies(t *testing.T) {
	h := opened(t, "certificate-limit-lies")
	equal(t, "limit that is announced", h.expect("00CA00C000", 0x9000)[4:6], unhex(t, "0800"))
	h.admin()
	chained := func(value []byte) iso7816.Status {
		t.Helper()
		for len(value) > 255 {
			if _, status := h.send(append([]byte{0x10, 0xDA, 0x7F, 0x21, 255}, value[:255]...)); status != 0x9000 {
				t.Fatalf("the card noticed before the last block: %v", status)
			}
			value = value[255:]
		}
		_, status := h.send(append([]byte{0x00, 0xDA, 0x7F, 0x21, byte(len(value))}, value...))
		return status
	}
	fits := bytes.Repeat([]byte{0x30}, 944)
	if status := chained(fits); status != 0x9000 {
		t.Fatal(status)
	}
	if status := chained(append(fits, 0x31)); status != 0x6581 {
		t.Fatal(status)
	}
	if first := h.expect("00CA7F2100", 0x6100); !bytes.Equal(first, fits[:256]) {
		t.Fatal("the certificate that was there is gone")
	}
}

func TestAbsentCertificate(t *testing.T) {
	for profile, want := range map[string]iso7816.Status{
		"openpgp-3.4":             0x9000,
		"absent-certificate-6a88": 0x6A88,
		"absent-certificate-6a82": 0x6A82,
		"absent-certificate-8800": 0x8800,
	} {
		opened(t, profile).getStatus(tagCertificate, want)
	}
}

func TestCertificateWithTag(t *testing.T) {
	h := opened(t, "certificate-with-tag")
	h.admin()
	equal(t, "none", h.get(tagCertificate), []byte{0x7F, 0x21, 0x00})
	h.put(tagCertificate, []byte{0x30, 0})
	equal(t, "one", h.get(tagCertificate), []byte{0x7F, 0x21, 0x02, 0x30, 0})
}

func TestOccurrenceForgotten(t *testing.T) {
	h := opened(t, "occurrence-forgotten")
	h.admin()
	h.selectCertificate(2, 0x9000)
	h.get(tagAID)
	h.put(tagCertificate, []byte{0x30, 0})
	h.selectCertificate(0, 0x9000)
	equal(t, "AUT", h.get(tagCertificate), []byte{0x30, 0})
}
