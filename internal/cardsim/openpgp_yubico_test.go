package cardsim

import (
	"crypto/x509"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// The admin PIN sets how many tries each PIN has, which keeps its value.
func TestYubicoRetries(t *testing.T) {
	h := opened(t, "openpgp-yubikey-5")
	equal(t, "firmware", h.query(insYubicoVersion, 0, 0, nil, 0x9000), unhex(t, "050403"))
	h.command(insYubicoRetries, 0, 0, unhex(t, "050607"), 0x6982)
	h.admin()
	h.command(insYubicoRetries, 0, 0, unhex(t, "0506"), 0x6700)
	h.command(insYubicoRetries, 0, 0, unhex(t, "050006"), 0x6A80)
	h.command(insYubicoRetries, 0, 0, unhex(t, "050607"), 0x9000)
	h.wantTries(5, 0, 7)
	h.putStatus(tagResettingCode, []byte("12345678"), 0x6982) // to be verified again
	h.admin()
	h.put(tagResettingCode, []byte("12345678"))
	h.wantTries(5, 6, 7)
	h.verify(0x81, "wrong-one", 0x63C4)
	h.verify(0x81, factoryPW1, 0x9000)
	h.wantTries(5, 6, 7)
	h.command(iso7816.InsTerminateDF, 0, 0, nil, 0x9000)
	h.command(iso7816.InsActivateFile, 0, 0, nil, 0x9000)
	h.wantTries(3, 0, 3)
	opened(t, "").command(insYubicoRetries, 0, 0, unhex(t, "050607"), 0x6D00)
}

// ATTEST needs PW1 and a key that was made on the card, and writes over its certificate.
// The attestation key outlives the card's erasure.
func TestYubicoAttests(t *testing.T) {
	for _, profile := range []string{"openpgp-yubikey-5", "openpgp-yubikey-5.7"} {
		h := opened(t, profile)
		own := h.get(tagAttestationCertificate)
		h.expect("80FB030000", 0x6982)
		h.verify(0x81, factoryPW1, 0x9000)
		h.expect("80FB030000", 0x6A88)
		h.expect("80FB040000", 0x6A86)
		h.expect("00FB030000", 0x6D00)
		h.admin()
		h.query(iso7816.InsGenerateKeyPair, 0x80, 0, unhex(t, "A400"), 0x9000)
		h.put(tagCertificate, []byte("before"))
		h.verify(0x81, factoryPW1, 0x9000)
		h.expect("80FB030000", 0x9000)
		statement, err := x509.ParseCertificate(h.get(tagCertificate))
		if err != nil || len(statement.Extensions) < 8 {
			t.Fatalf("%v, %+v", err, statement)
		}
		issuer, err := x509.ParseCertificate(own)
		if err != nil || statement.CheckSignatureFrom(issuer) != nil {
			t.Errorf("%v: the statement is not signed by the card's key", err)
		}
		h.admin()
		h.command(iso7816.InsTerminateDF, 0, 0, nil, 0x9000)
		h.command(iso7816.InsActivateFile, 0, 0, nil, 0x9000)
		equal(t, "DO FC", h.get(tagAttestationCertificate), own)
	}
	opened(t, "").expect("80FB030000", 0x6E00)
	opened(t, "").getStatus(tagAttestationCertificate, 0x6A88)
}

// Firmware before 5.5 wants a length byte before the path, which no other card takes.
func TestYubicoSelectData(t *testing.T) {
	for profile, want := range map[string][2]iso7816.Status{
		"openpgp-yubikey-5": {0x6A80, 0x9000}, "openpgp-yubikey-5.7": {0x9000, 0x6A80}, "": {0x9000, 0x6A80},
	} {
		h := opened(t, profile)
		h.command(iso7816.InsSelectData, 1, 4, unhex(t, "60045C027F21"), want[0])
		h.command(iso7816.InsSelectData, 1, 4, unhex(t, "0660045C027F21"), want[1])
	}
}

// A permanent flag lasts until the card is erased, on a YubiKey as long as its key.
func TestPermanentInteraction(t *testing.T) {
	for profile, lasts := range map[string]bool{"": true, "openpgp-yubikey-5": false} {
		h := opened(t, profile)
		h.admin()
		h.put(tagUIF+2, unhex(t, "0220"))
		h.putStatus(tagUIF+2, unhex(t, "0020"), 0x6985)
		h.query(iso7816.InsGenerateKeyPair, 0x80, 0, unhex(t, "A400"), 0x9000)
		if got := h.get(tagUIF + 2)[0] == uifPermanent; got != lasts {
			t.Errorf("%s: lasts %v", profile, got)
		}
	}
	h := opened(t, "no-button")
	h.admin()
	h.getStatus(tagUIF, 0x6A88)
	h.putStatus(tagUIF, unhex(t, "0120"), 0x6A88)
	h = opened(t, "openpgp-yubikey-4")
	h.admin()
	h.put(tagUIF, unhex(t, "0120"))
	h.putStatus(tagUIF, unhex(t, "0320"), 0x6A80)
}

// A KDF is set up on a card without keys; both PINs have to be verified again.
func TestKDFNeedsAnEmptyCard(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.query(iso7816.InsGenerateKeyPair, 0x80, 0, unhex(t, "A400"), 0x9000)
	h.putStatus(tagKDF, unhex(t, "810100"), 0x6985)
	h = opened(t, "kdf-stored")
	h.admin()
	h.put(tagKDF, unhex(t, "810103820108 8304000186A0 8408 0102030405060708"))
	h.verify(0x81, factoryPW1, 0x9000)
}
