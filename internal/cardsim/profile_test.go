package cardsim

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

func TestProfiles(t *testing.T) {
	list := Profiles()
	if list[0].Name != DefaultProfile {
		t.Errorf("the first profile is %s", list[0].Name)
	}
	seen := map[string]bool{}
	for _, p := range list {
		if seen[p.Name] || !regexp.MustCompile(`^[a-z0-9.-]+$`).MatchString(p.Name) {
			t.Errorf("name %q", p.Name)
		}
		seen[p.Name] = true
		if p.Description == "" || bytes.ContainsAny([]byte(p.Description), "\n\t") {
			t.Errorf("%s: description %q", p.Name, p.Description)
		}
		made, err := NewCard(Options{Profile: p.Name})
		if err != nil {
			t.Fatal(err)
		}
		if _, ofApplet := map[string]string{"piv": pivName, "isoapplet": isoAppletName, "muscle": muscleName, "scp03": gpName}[strings.SplitN(p.Name, "-", 2)[0]]; ofApplet {
			if app := made.apps; len(app) != 1 || app[0].name() == openpgpName {
				t.Errorf("%s is made with %s", p.Name, app[0].name())
			}
			continue
		}
		opened(t, p.Name).expect("00CA004F00", func() iso7816.Status {
			switch p.Name {
			case "exact-le-6cxx":
				return 0x6C10
			case "endless-61xx":
				return 0x6100
			}
			return 0x9000
		}())
	}
	if _, err := NewCard(Options{Profile: "nonsense"}); err == nil {
		t.Error("a card with an unknown profile")
	}
}

func TestVersion2(t *testing.T) {
	h := opened(t, "openpgp-2.0")
	equal(t, "AID", h.get(tagAID), unhex(t, "D276000124010200FFFE123456780000"))
	equal(t, "extended capabilities", h.get(tagCapabilities), unhex(t, "7C000800080000FF0100"))
	related := h.get(tagApplicationRelated)
	if related[0] != byte(tagAID) {
		t.Errorf("DO 6E comes with its tag: %X", related)
	}
	for _, tag := range []iso7816.Tag{tagExtendedLength, tagFeatures, tagUIF, tagKeyInformation, tagKDF, tagAlgorithms} {
		h.getStatus(tag, 0x6A88)
		if _, found := iso7816.FindTLV(related, tagDiscretionary, tag); found {
			t.Errorf("DO %X is in DO 6E", tag)
		}
	}
	h.admin()
	h.putStatus(tagKDF, unhex(t, "810100"), 0x6A88)
	h.putStatus(tagAESKey, make([]byte, 16), 0x6A88)
	h.putStatus(tagUIF, unhex(t, "0120"), 0x6A88)
	h.expect("00CA004F000000", 0x6700) // extended length

	// A key comes in a chain.
	list := headerListOf(unhex(t, "A400"), rsaParts(testKey(t, 2048), importStandard)...)
	for len(list) > 200 {
		if _, status := h.send(append([]byte{0x10, 0xDB, 0x3F, 0xFF, 200}, list[:200]...)); status != 0x9000 {
			t.Fatal(status)
		}
		list = list[200:]
	}
	if _, status := h.send(append([]byte{0x00, 0xDB, 0x3F, 0xFF, byte(len(list))}, list...)); status != 0x9000 {
		t.Fatal(status)
	}
	h.publicKey(slotAUT, 0x9000)
}

func TestExactLe(t *testing.T) {
	h := opened(t, "exact-le-6cxx")
	h.admin()
	h.put(tagAttributes, unhex(t, attrP256ECDSA))
	h.expect("0047800002B60000", 0x6C46)
	public := h.expect("0047800002B60046", 0x9000)
	equal(t, "public key", h.expect("0047810002B60046", 0x9000), public)

	// The signature is made once, PW1 being good for one only.
	h.user()
	h.expect("002A9E9A0401020304"+"00", 0x6C40)
	if n := len(h.expect("002A9E9A0401020304"+"40", 0x9000)); n != 64 {
		t.Fatalf("a signature of %d bytes", n)
	}
	equal(t, "signature counter", h.expect("00CA009303", 0x9000), []byte{0, 0, 1})
	h.expect("00CA004F00", 0x6C10)
	h.expect("00CA00C400", 0x6C07) // another command gives the answer up
	h.expect("00CA00C407", 0x9000)
}

func TestEndlessAnswers(t *testing.T) {
	h := opened(t, "endless-61xx")
	h.expect("00CA006E00", 0x6100)
	for range 1000 {
		h.expect("00C0000000", 0x6100)
	}
	h.verify(0x82, factoryPW1, 0x9000)
}

func TestLyingTemplates(t *testing.T) {
	honest := opened(t, "").get(tagApplicationRelated)
	equal(t, "truncated", opened(t, "truncated-templates").get(tagApplicationRelated), honest[:9])
	garbled := opened(t, "garbage-templates")
	if got := garbled.get(tagApplicationRelated); len(got) != len(honest) || bytes.Equal(got, honest) {
		t.Errorf("garbage is %X", got)
	}
	equal(t, "AID", garbled.get(tagAID), unhex(t, "D276000124010304FFFE123456780000"))
}

func TestExtendedLengthQuirks(t *testing.T) {
	refused := opened(t, "extended-length-refused")
	equal(t, "capabilities", refused.expect("00CA5F5200", 0x9000)[6:7], []byte{0xE0})
	refused.expect("00CA004F000000", 0x6700)

	silent := opened(t, "extended-length-unannounced")
	equal(t, "capabilities", silent.expect("00CA5F5200", 0x9000)[6:7], []byte{0x80})
	silent.expect("00CA004F000000", 0x9000)
}

func TestChainingRefused(t *testing.T) {
	h := opened(t, "chaining-refused")
	h.admin()
	h.expect("10DA5F500161", 0x6884)
}

// TestProfilesTogether: quirks of several profiles are on one card, if they are of one
// application.
func TestProfilesTogether(t *testing.T) {
	p, err := profileNamed("t0+ecdsa-33+wrong-pin-6982")
	if err != nil || !p.t0 || !p.zeroBefore || p.wrongPIN != withoutTriesLeft || p.extendedLength || p.name != "t0+ecdsa-33+wrong-pin-6982" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = profileNamed("t0-6100+isoapplet-short-ids"); err != nil || p.application != isoAppletName || !p.shortApart || !p.moreForNothing {
		t.Errorf("%+v, %v", p, err)
	}
	for _, name := range []string{"piv-nist+isoapplet-1.0", "t0+openpgp-3.4", "t0+", "+", "t0+nothing"} {
		if _, err := NewCard(Options{Profile: name}); err == nil {
			t.Errorf("a card of %s", name)
		}
	}
}
