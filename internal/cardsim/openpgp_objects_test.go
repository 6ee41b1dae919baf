package cardsim

import (
	"bytes"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// TestFactoryObjects is every data object of a new card, section 4.4.1.
func TestFactoryObjects(t *testing.T) {
	zeros := func(n int) string {
		return string(bytes.Repeat([]byte("00"), n))
	}
	const (
		aid        = "D276000124010304FFFE123456780000"
		historical = "0031C573C001E0059000"
		rsa2048    = "010800002000"
	)
	discretionary := "C00A7F000800080000FF0001" +
		"C106" + rsa2048 + "C206" + rsa2048 + "C306" + rsa2048 +
		"C407007F7F7F030003" +
		"C53C" + zeros(60) + "C63C" + zeros(60) + "CD0C" + zeros(12) +
		"DE06010002000300" + "D6020020D7020020D8020020D9020020"
	h := opened(t, "")
	for tag, want := range map[iso7816.Tag]string{
		tagAID:                "D276000124010304FFFE123456780000",
		tagLogin:              "",
		tagURL:                "",
		tagHistoricalBytes:    historical,
		tagCardholder:         "65095B005F2D005F350139",
		tagName:               "",
		tagLanguages:          "",
		tagSex:                "39",
		tagApplicationRelated: "6E8201024F10" + aid + "5F520A" + historical + "7F660802021000020210007F74038101207381CF" + discretionary,
		tagDiscretionary:      "7381CF" + discretionary,
		tagSecuritySupport:    "7A059303000000",
		tagSignatureCounter:   "000000",
		tagCertificate:        "",
		tagExtendedLength:     "0202100002021000",
		tagFeatures:           "810120",
		tagCapabilities:       "7F000800080000FF0001",
		tagAttributes:         rsa2048,
		tagAttributes + 1:     rsa2048,
		tagAttributes + 2:     rsa2048,
		tagPasswordStatus:     "007F7F7F030003",
		tagFingerprints:       zeros(60),
		tagCAFingerprints:     zeros(60),
		tagFingerprint:        zeros(20),
		tagCAFingerprint + 2:  zeros(20),
		tagTimes:              zeros(12),
		tagTime + 1:           zeros(4),
		tagUIF:                "0020",
		tagUIF + 3:            "0020",
		tagKeyInformation:     "010002000300",
		tagKDF:                "810100",
		tagPrivateUse1:        "",
		tagPrivateUse2:        "",
	} {
		equal(t, keyName(tag), h.get(tag), unhex(t, want))
	}
	for tag, want := range map[iso7816.Tag]iso7816.Status{
		tagPrivateUse3:   0x6982,
		tagPrivateUse4:   0x6982,
		tagResettingCode: 0x6982,
		tagAESKey:        0x6982,
		0x00DA:           0x6A88, // attributes of an attestation key
		0x00DC:           0x6A88,
		0x00FB:           0x6A88, // no secure messaging
		0x00FC:           0x6A88,
		0x0105:           0x6A88,
		0x0000:           0x6A88,
	} {
		h.getStatus(tag, want)
	}
	h.expect("00CA004F0101", 0x6700)
}

func keyName(tag iso7816.Tag) string { return "DO " + string(keyOf(tag)) }

func TestAlgorithmInformation(t *testing.T) {
	const (
		rsa    = "%s06010800002000" + "%s06010C00002000" + "%s06011000002000"
		nist   = "%s09%s2A8648CE3D030107" + "%s06%s2B81040022" + "%s06%s2B81040023"
		ed     = "%s0A162B06010401DA470F01"
		x25519 = "%s0B122B060104019755010501"
	)
	slot := func(tag, algorithm, last string) string {
		value := rsa + nist + last
		value = string(bytes.ReplaceAll([]byte(value), []byte("09%s"), []byte("09"+algorithm)))
		value = string(bytes.ReplaceAll([]byte(value), []byte("06%s2B"), []byte("06"+algorithm+"2B")))
		return string(bytes.ReplaceAll([]byte(value), []byte("%s"), []byte(tag)))
	}
	want := slot("C1", "13", ed) + slot("C2", "12", x25519) + slot("C3", "13", ed)
	got := opened(t, "").get(tagAlgorithms)
	equal(t, "DO FA", got, iso7816.AppendTLV(nil, 0xFA, unhex(t, want)))

	strict := opened(t, "strict-rsa-attributes").get(tagAlgorithms)
	if !bytes.Contains(strict, unhex(t, "C106010800001100")) || bytes.Contains(strict, unhex(t, "010800002000")) {
		t.Errorf("DO FA of the strict profile: %X", strict)
	}
	if old := opened(t, "openpgp-2.0"); old != nil {
		old.expect("00CA00FA00", 0x6A88)
	}
}

// TestAccessConditions is who may write and read what, sections 4.4.1 and
// 4.4.2.
func TestAccessConditions(t *testing.T) {
	states := map[string]func(*host){
		"nobody":  func(*host) {},
		"PW1 81":  func(h *host) { h.verify(0x81, factoryPW1, 0x9000) },
		"PW1 82":  func(h *host) { h.verify(0x82, factoryPW1, 0x9000) },
		"PW3":     func(h *host) { h.admin() },
		"PW3 off": func(h *host) { h.admin(); h.expect("0020FF83", 0x9000) },
	}
	for name, verify := range states {
		t.Run(name, func(t *testing.T) {
			h := opened(t, "")
			verify(h)
			write := func(tag iso7816.Tag, value string, condition string) {
				t.Helper()
				want := iso7816.StatusSecurityNotSatisfied
				if name == condition {
					want = iso7816.StatusOK
				}
				h.putStatus(tag, unhex(t, value), want)
			}
			read := func(tag iso7816.Tag, condition string) {
				t.Helper()
				want := iso7816.StatusSecurityNotSatisfied
				if name == condition {
					want = iso7816.StatusOK
				}
				h.getStatus(tag, want)
			}
			write(tagPrivateUse1, "01", "PW1 82")
			write(tagPrivateUse2, "01", "PW3")
			write(tagPrivateUse3, "01", "PW1 82")
			write(tagPrivateUse4, "01", "PW3")
			read(tagPrivateUse3, "PW1 82")
			read(tagPrivateUse4, "PW3")
			for tag, value := range map[iso7816.Tag]string{
				tagName: "41", tagLogin: "41", tagURL: "41", tagLanguages: "6465", tagSex: "31",
				tagAttributes: "010800002000", tagPasswordStatus: "01",
				tagFingerprint + 1:  "0102030405060708090A0B0C0D0E0F1011121314",
				tagCAFingerprint:    "0102030405060708090A0B0C0D0E0F1011121314",
				tagTime + 2:         "01020304",
				tagResettingCode:    "3132333435363738",
				tagAESKey:           "000102030405060708090A0B0C0D0E0F",
				tagUIF:              "0120",
				tagCertificate:      "3000",
				tagKeyInformation:   "never",
				tagAID:              "never",
				tagHistoricalBytes:  "never",
				tagSignatureCounter: "never",
				tagCapabilities:     "never",
				tagFingerprints:     "never",
				tagExtendedLength:   "never",
				tagDiscretionary:    "never",
				tagAlgorithms:       "never",
				tagSecuritySupport:  "never",
				tagFeatures:         "never",
				tagCAFingerprints:   "never",
				tagTimes:            "never",
				tagCardholder:       "never",
			} {
				if value == "never" {
					write(tag, "00", "nobody at all")
				} else {
					write(tag, value, "PW3")
				}
			}
			write(tagKDF, "810100", "PW3") // last: the passwords have to be verified again
		})
	}
}

func TestPutLengths(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.verify(0x82, factoryPW1, 0x9000)
	for _, test := range []struct {
		tag    iso7816.Tag
		length int
		want   iso7816.Status
	}{
		{tagName, 39, 0x9000},
		{tagName, 40, 0x6700},
		{tagLogin, 255, 0x9000},
		{tagLogin, 256, 0x6700},
		{tagURL, 0, 0x9000},
		{tagLanguages, 8, 0x9000},
		{tagLanguages, 3, 0x6700},
		{tagLanguages, 10, 0x6700},
		{tagSex, 0, 0x6A80},
		{tagSex, 2, 0x6700},
		{tagPrivateUse1, 255, 0x9000},
		{tagPrivateUse1, 256, 0x6700},
		{tagFingerprint, 19, 0x6700},
		{tagFingerprint, 21, 0x6700},
		{tagTime, 3, 0x6700},
		{tagUIF, 1, 0x6700},
		{tagAESKey, 24, 0x6700},
		{tagAESKey, 0, 0x9000},
		{tagAESKey, 32, 0x9000},
		{tagResettingCode, 7, 0x6700},
		{tagResettingCode, 127, 0x9000},
		{tagResettingCode, 128, 0x6700},
		{tagCertificate, 2048, 0x9000},
		{tagCertificate, 2049, 0x6700},
		{tagPasswordStatus, 2, 0x6700},
		{0x00DA, 1, 0x6A88},
		{0x00D1, 16, 0x6A88},
		{0x00F4, 16, 0x6A88},
	} {
		h.putStatus(test.tag, make([]byte, test.length), test.want)
	}
	h.putStatus(tagSex, []byte("3"), 0x6A80)
	h.putStatus(tagUIF, unhex(t, "0100"), 0x6A80)
	h.putStatus(tagUIF, unhex(t, "0320"), 0x6A80)
	h.putStatus(tagPasswordStatus, unhex(t, "02"), 0x6A80)
	h.putStatus(tagPasswordStatus, unhex(t, "017F7F7F"), 0x9000)
	h.putStatus(tagPasswordStatus, unhex(t, "01087F7F"), 0x6A80)
}

func TestWrittenObjectsSurvivePowerLoss(t *testing.T) {
	h := opened(t, "")
	h.admin()
	fingerprint := bytes.Repeat([]byte{0xAB}, 20)
	h.put(tagName, []byte("Head<<Floppy"))
	h.put(tagFingerprint+2, fingerprint)
	h.put(tagTime+2, unhex(t, "5F000000"))
	h.put(tagCAFingerprint+1, fingerprint)
	h.powerCycle()
	h.selectOpenPGP()
	equal(t, "name", h.get(tagName), []byte("Head<<Floppy"))
	equal(t, "DO C5", h.get(tagFingerprints)[40:], fingerprint)
	equal(t, "DO C6", h.get(tagCAFingerprints)[20:40], fingerprint)
	equal(t, "DO CD", h.get(tagTimes)[8:], unhex(t, "5F000000"))
	h.putStatus(tagName, nil, 0x6982)
}

func TestUserInteractionFlags(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.put(tagUIF+2, unhex(t, "0220"))
	h.putStatus(tagUIF+2, unhex(t, "0020"), 0x6985) // on for ever
	equal(t, "DO D8", h.get(tagUIF+2), unhex(t, "0220"))
}
