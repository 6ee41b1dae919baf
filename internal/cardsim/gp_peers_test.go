package cardsim

import (
	"bytes"
	"crypto/sha1"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// The commands of GlobalPlatformPro and of GPShell in their order, without Le
// where they send none and with their parameters, through every secure channel.
func TestPeersOnJavaCards(t *testing.T) {
	for _, c := range channels() {
		for _, level := range []securityLevel{levelMAC, levelMAC | levelDecryption} {
			t.Run(c.String()+" "+byteHex(byte(level)), func(t *testing.T) {
				peerPro(t, c, level)
				peerShell(t, c, level)
			})
		}
	}
}

// blockOf is how much fits a LOAD of a peer: what the MAC and the padding leave.
func blockOf(c secureChannel, level securityLevel) int {
	room := 255 - 8
	if c.challengeLength() == 16 {
		room = 255 - 16
	}
	if level&levelDecryption != 0 {
		room = room/16*16 - 1
	}
	return room
}

// peerPro is gp -info, -install, -list, -lock-applet, -lock and -delete.
func peerPro(t *testing.T, c secureChannel, level securityLevel) {
	t.Helper()
	file := appletFiles()["IsoApplet.cap"]
	pkg, applet := file.pkg, file.applets[0]
	m := blank(t, Options{SecureChannel: c.String()})
	fci := m.expect("00A4040000", 0x9000)
	isd, ok := iso7816.FindTLV(fci, 0x6F, 0x84)
	if !ok {
		t.Fatalf("FCI %X", fci)
	}
	for object, want := range map[string]iso7816.Status{
		"80CA9F7F00": 0x9000, "80CA006600": 0x9000, "80CA00E000": 0x9000, "80CA00CF00": 0x9000, "80CA004200": 0x6A88, "80CA004500": 0x6A88, "80CA2F0000": 0x6A88,
	} {
		m.expect(object, want)
	}
	m.open(level)
	list := func(subset byte, entries int) {
		t.Helper()
		want := iso7816.StatusOK
		if entries == 0 {
			want = iso7816.StatusReferenceNotFound
		}
		all := m.must(insGetStatus, subset, 0x02, []byte{0x4F, 0x00}, want)
		if got, err := iso7816.ParseTLVs(all); err != nil || len(got) != entries {
			t.Fatalf("subset %02X: %X", subset, all)
		}
		m.must(insGetStatus, subset, 0x02, []byte{0x4F, 0x00, 0x5C, 0x07, 0x4F, 0x9F, 0x70, 0xC5, 0xC4, 0xCC, 0xCE}, want)
	}
	for subset, entries := range map[byte]int{0x80: 1, 0x40: 0, 0x20: 0, 0x10: 0} {
		list(subset, entries)
	}
	hash := sha1.Sum(file.loadFile())
	m.must(insInstall, installForLoad, 0, lv(pkg, isd, hash[:], nil, nil), iso7816.StatusOK)
	m.blocks(loadData(file.loadFile()), blockOf(c, level), iso7816.StatusOK)
	m.must(insInstall, installForInstall|installForSelectable, 0, lv(pkg, applet, applet, []byte{0}, []byte{0xC9, 0}, nil), iso7816.StatusOK)
	for subset, entries := range map[byte]int{0x80: 1, 0x40: 1, 0x20: 1, 0x10: 1} {
		list(subset, entries)
	}
	m.must(insSetStatus, 0x40, 0x80, applet, iso7816.StatusOK)
	m.must(insSetStatus, 0x40, 0x00, applet, iso7816.StatusOK)
	m.must(insInstall, installForLoad, 0, lv(pkg, isd, nil, nil, nil), iso7816.StatusConditionsNotSatisfied)

	m.putKeys(0x00, 0x01)
	m.open(level)
	m.putKeys(0x01, 0x01)
	m.open(level)
	m.must(insDeleteObject, 0, 0, []byte{0xD2, 0x01, 0x05}, iso7816.StatusReferenceNotFound)
	m.delete(pkg, 0x00, iso7816.StatusConditionsNotSatisfied)
	m.delete(pkg, 0x80, iso7816.StatusOK)
	m.delete(pkg, 0x80, iso7816.StatusReferenceNotFound)
}

// peerShell is a script of GPShell that installs, lists and deletes.
func peerShell(t *testing.T, c secureChannel, level securityLevel) {
	t.Helper()
	file := appletFiles()["IsoApplet.cap"]
	pkg, applet := file.pkg, file.applets[0]
	m := blank(t, Options{SecureChannel: c.String()})
	isd := bytes.Clone(m.issuerState().AID)
	m.chooses(isd[:7], iso7816.StatusOK) // the beginning of its AID
	m.chooses(isd, iso7816.StatusOK)
	m.expect("80CA006600", 0x9000)
	m.open(level)
	m.delete(applet, 0x80, iso7816.StatusReferenceNotFound)
	m.delete(pkg, 0x80, iso7816.StatusReferenceNotFound)
	limits := []byte{0xEF, 0x0C, 0xC6, 0x02, 0x20, 0x00, 0xC7, 0x02, 0x00, 0x00, 0xC8, 0x02, 0x07, 0xD0}
	m.must(insInstall, installForLoad, 0, lv(pkg, isd, nil, limits, nil), iso7816.StatusOK)
	m.blocks(loadData(file.loadFile()), blockOf(c, level), iso7816.StatusOK)
	parameters := slices.Concat([]byte{0xEF, 0x04, 0xC8, 0x02, 0x07, 0xD0}, []byte{0xC9, 0x01, 0x00})
	m.must(insInstall, installForInstall|installForSelectable, 0, lv(pkg, applet, applet, []byte{0}, parameters, nil), iso7816.StatusOK)
	for _, format := range []byte{0x00, 0x02} {
		if all := m.must(insGetStatus, 0xE0, format, []byte{0x4F, 0x00}, iso7816.StatusOK); !bytes.Contains(all, isd) || bytes.Count(all, pkg) < 2 {
			t.Fatalf("format %d: %X", format, all)
		}
	}
	m.delete(applet, 0x80, iso7816.StatusOK)
	m.delete(pkg, 0x80, iso7816.StatusOK)
}

// putKeys replaces the keys by the same under another version.
func (m *manager) putKeys(replaced, version byte) {
	m.t.Helper()
	data, check := []byte{version}, []byte{version}
	for _, key := range m.threeKeys() {
		var sealed []byte
		switch s := m.m.(type) {
		case *desMessaging:
			sealed = make([]byte, len(key))
			for i := 0; i < len(key); i += desBlock {
				tripleDES(s.dek).Encrypt(sealed[i:], key[i:])
			}
			sealed = lv(sealed)
		case *aesMessaging:
			sealed = encryptCBC(newAES(s.dek), make([]byte, 16), key)
			sealed = append([]byte{byte(len(sealed) + 1), byte(len(key))}, sealed...)
		}
		data = append(append(data, m.channel.keyType()), sealed...)
		data = append(data, lv(m.channel.checkValue(key))...)
		check = append(check, m.channel.checkValue(key)...)
	}
	equal(m.t, "check values", m.must(insPutKey, replaced, 0x81, data, iso7816.StatusOK), check)
	m.chooses(nil, iso7816.StatusOK)
}

// threeKeys are the three keys of the card.
func (m *manager) threeKeys() [][]byte {
	if len(m.keys) == 1 {
		return [][]byte{m.keys[0], m.keys[0], m.keys[0]}
	}
	return m.keys
}
