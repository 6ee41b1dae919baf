package cardsim

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const (
	open5015   = "6F15 81021388 820138 83025015 8608FF00000000000090"
	infoEF     = "6F15 81020004 820101 83025032 8608FF00000000000000"
	pinEF      = "6F15 81020004 820101 83024402 8608FF90909090909000" // READ for everybody
	secretEF   = "6F15 81020004 820101 83024403 8608FF90909090909090"
	neverEF    = "6F15 81020004 820101 83024404 8608FFFFFFFFFFFFFFFF"
	insCreate  = insCreateFile
	insDelete  = insDeleteFile
	masterFCI  = "6F0782013883023F00"
	selectByID = "00A4000002"
)

func (h *host) create(control string, want iso7816.Status) {
	h.t.Helper()
	h.command(insCreate, 0, 0, unhex(h.t, control), want)
}

// filled is a blank applet with a DF and files of every access condition in
// it, and a PIN that is not verified.
func filled(t *testing.T) *host {
	t.Helper()
	h := blankApplet(t, "")
	for _, control := range []string{open5015, infoEF, pinEF, secretEF, neverEF} {
		h.create(control, 0x9000)
	}
	h.command(iso7816.InsChangeReferenceData, 0x01, 0x01, []byte(testPIN), 0x9000)
	h.expect(selectIsoApplet, 0x9000)
	return h
}

func TestIsoAppletSelectFile(t *testing.T) {
	for _, test := range []struct {
		name, apdu string
		want       iso7816.Status
		data       string
	}{
		{"MF without identifier", "00A4000000", 0x9000, masterFCI},
		{"MF", "00A40000023F0000", 0x9000, masterFCI},
		{"DF by identifier", "00A4000002501500", 0x9000, open5015},
		{"EF by identifier, anywhere", "00A4000002503200", 0x9000, infoEF},
		{"FCP", "00A4000402503200", 0x9000, infoEF},
		{"nothing", "00A4000C025032", 0x9000, ""},
		{"without Le", "00A40000025032", 0x9000, infoEF},
		{"absent", "00A4000002503300", 0x6A82, ""},
		{"path", "00A40800045015503200", 0x9000, infoEF},
		{"path of a DF", "00A4080002501500", 0x9000, open5015},
		{"path with the MF", "00A4080006 3F00 5015 5032 00", 0x6A82, ""},
		{"path through an EF", "00A4080006 5015 5032 5032 00", 0x6A82, ""},
		{"path that leaves a DF out", "00A4080002503200", 0x6A82, ""},
		{"odd path", "00A408000350155000", 0x6700, ""},
		{"empty path", "00A4080000", 0x6700, ""},
		{"path from the current DF", "00A40900045015503200", 0x9000, infoEF},
		{"child DF", "00A4010002501500", 0x9000, open5015},
		{"child DF that is an EF", "00A4010002503200", 0x6A82, ""},
		{"child EF", "00A4020002503200", 0x9000, infoEF},
		{"child EF that is a DF", "00A4020002501500", 0x6A82, ""},
		{"parent of the MF", "00A4030000", 0x6A82, ""},
		{"by a name that no DF has", "00A404000C A000000063504B43532D3135 00", 0x6A82, ""},
		{"one byte", "00A40000015000", 0x6700, ""},
		{"FMD", "00A4000802503200", 0x6A86, ""},
		{"next occurrence", "00A4000202503200", 0x6A86, ""},
		{"unknown way", "00A4050002503200", 0x6A86, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			equal(t, "answer", filled(t).expect(test.apdu, test.want), unhex(t, test.data))
		})
	}
}

func TestIsoAppletSelectParentAndName(t *testing.T) {
	const named = "6F0B 820138 83025015 8402ABCD"
	h := blankApplet(t, "")
	h.create(named, 0x9000)
	h.create(infoEF, 0x9000)
	equal(t, "parent of the DF", h.expect("00A4030000", 0x9000), unhex(t, masterFCI))
	equal(t, "by name", h.expect("00A4040002ABCD00", 0x9000), unhex(t, named))
	h.expect("00A4040001AB00", 0x6A82)
	h.expect("00A4020002503200", 0x9000)
}

func TestIsoAppletCreateFile(t *testing.T) {
	for _, test := range []struct {
		name, control string
		want          iso7816.Status
	}{
		{"FCP template", "620B 80020010 820101 83024401", 0x9000},
		{"size in one byte", "620A 810110 820101 83024401", 0x9000},
		{"no size", "6207 820101 83024401", 0x9000},
		{"internal EF", "6207 820109 83024401", 0x9000},
		{"shareable EF", "6207 820141 83024401", 0x9000},
		{"records", "6207 820102 83024401", 0x6A81},
		{"no identifier", "6203 820101", 0x6984},
		{"long identifier", "6208 820101 8303440101", 0x6984},
		{"no descriptor", "6204 83024401", 0x6984},
		{"two identifiers", "620B 820101 83024401 83024402", 0x6984},
		{"identifier of the MF", "6207 820138 83023F00", 0x6984},
		{"short access conditions", "6210 820101 83024401 8607FF909090909090", 0x6984},
		{"other access mode", "6211 820101 83024401 86087F90909090909090", 0x6984},
		{"three bytes of size", "620C 8103000010 820101 83024401", 0x6984},
		{"other template", "610782010183024401", 0x6984},
		{"cut", "6208 820101 83024401", 0x6984},
		{"more behind it", "6207 820101 83024401 00", 0x6984},
		{"nothing", "", 0x6984},
		{"all of the memory", "620B 81027FEA 820101 83024401", 0x9000},
		{"more than the memory", "620B 81027FEB 820101 83024401", 0x6A84},
	} {
		t.Run(test.name, func(t *testing.T) {
			blankApplet(t, "").create(test.control, test.want)
		})
	}
	h := blankApplet(t, "")
	h.create(infoEF, 0x9000)
	h.create(infoEF, 0x6984) // there is one
	h.command(insCreate, 1, 0, unhex(t, pinEF), 0x6A86)
}

func TestIsoAppletFullDirectory(t *testing.T) {
	h := blankApplet(t, "")
	for i := range childrenLimit {
		h.create(fmt.Sprintf("620A 810101 820101 8302%04X", 0x4400+i), 0x9000)
	}
	h.create("620A 810101 820101 83024500", 0x6A84)
	h.command(insDelete, 0, 0, unhex(t, "4400"), 0x9000)
	h.create("620A 810101 820101 83024500", 0x9000)
}

func TestIsoAppletBinary(t *testing.T) {
	h := blankApplet(t, "")
	h.expect("00B0000000", 0x6986) // no current EF
	h.create(open5015, 0x9000)
	h.expect("00D6000001AA", 0x6986)
	h.create("6F0B 81020200 820101 83025032", 0x9000)

	long := bytes.Repeat([]byte{0xAB}, 0x1F0)
	h.command(insUpdateBinary, 0, 0x10, long, 0x9000)
	equal(t, "extended", h.query(insReadBinary, 0, 0x10, nil, 0x9000), long)
	equal(t, "16 bytes", h.expect("00B0000810", 0x9000), append(make([]byte, 8), long[:8]...))
	equal(t, "the end", h.expect("00B001FE00", 0x9000), []byte{0xAB, 0xAB})
	h.expect("00B0020000", 0x6B00)
	h.expect("00B00000", 0x6700)
	h.expect("00D601FF020102", 0x6B00)
	h.expect("00D60000", 0x6700)
	h.expect("00B1000000", 0x6D00)

	// By short identifier: 5032 is 12.
	h.expect("00A4080C025015", 0x9000)
	equal(t, "by short identifier", h.expect("00B0921001", 0x9000), []byte{0xAB})
	equal(t, "it is current then", h.expect("00B0001001", 0x9000), []byte{0xAB})
	h.expect("00B0930000", 0x6A82)
	h.expect("00B0F20000", 0x6A86)
	h.expect("00B0800000", 0x6A86)

	h.powerCycle()
	h.expect(selectIsoApplet, 0x9000)
	h.expect(selectByID+"5032", 0x9000)
	equal(t, "after power loss", h.expect("00B0001004", 0x9000), long[:4])
}

func TestIsoAppletAccessConditions(t *testing.T) {
	for _, test := range []struct {
		file                                         string
		read, update, remove                         iso7816.Status
		verifiedRead, verifiedUpdate, verifiedRemove iso7816.Status
	}{
		{"5032", 0x9000, 0x9000, 0x9000, 0x9000, 0x9000, 0x9000},
		{"4402", 0x9000, 0x6982, 0x6982, 0x9000, 0x9000, 0x9000},
		{"4403", 0x6982, 0x6982, 0x6982, 0x9000, 0x9000, 0x9000},
		{"4404", 0x6982, 0x6982, 0x6982, 0x6982, 0x6982, 0x6982},
	} {
		t.Run(test.file, func(t *testing.T) {
			try := func(h *host, read, update, remove iso7816.Status) {
				t.Helper()
				h.expect(selectByID+test.file, 0x9000)
				h.expect("00B0000004", read)
				h.expect("00D600000111", update)
				h.expect("00E4000002"+test.file, remove)
			}
			try(filled(t), test.read, test.update, test.remove)
			h := filled(t)
			h.verify(0x01, testPIN, 0x9000)
			try(h, test.verifiedRead, test.verifiedUpdate, test.verifiedRemove)
			h = filled(t)
			h.verify(0x01, testPIN, 0x9000)
			h.verify(0x01, "654321", 0x63C2)
			try(h, test.read, test.update, test.remove)
		})
	}
}

// TestIsoAppletBeforeThePIN: a blank applet allows what only the PIN will
// allow later, and nothing that is never allowed.
func TestIsoAppletBeforeThePIN(t *testing.T) {
	h := blankApplet(t, "")
	h.create(pinEF, 0x9000)
	h.expect("00D600000111", 0x9000)
	h.create(neverEF, 0x9000)
	h.expect("00D600000111", 0x6982)
}

func TestIsoAppletConditionsOfADirectory(t *testing.T) {
	h := blankApplet(t, "")
	h.create("6F11 820138 83025015 8608FF909090909090FF", 0x9000)
	h.command(iso7816.InsChangeReferenceData, 0x01, 0x01, []byte(testPIN), 0x9000)
	h.expect(selectIsoApplet, 0x9000)
	h.expect(selectByID+"5015", 0x9000)
	h.create(infoEF, 0x6982)
	h.create("6207 820138 83025016", 0x6982)
	h.expect("00E40000025015", 0x6982)
	h.verify(0x01, testPIN, 0x9000)
	h.create(infoEF, 0x9000)
	h.expect(selectByID+"5015", 0x9000)
	h.create("6207 820138 83025016", 0x9000)
	h.expect("00E40000025015", 0x9000)
}

func TestIsoAppletDeleteFile(t *testing.T) {
	h := filled(t)
	h.expect("00E40000023F00", 0x6986)
	h.expect("00E40000025033", 0x6A82)
	h.expect("00E400000150", 0x6700)
	h.expect("00E40100025032", 0x6A86)
	h.expect(selectByID+"5032", 0x9000)
	h.expect("00E40000025015", 0x9000) // with all that is in it
	h.expect(selectByID+"5032", 0x6A82)
	h.expect("00B0000001", 0x6986)
	h.create(open5015, 0x9000) // in the MF, which is current
	equal(t, "parent", h.expect("00A4030000", 0x9000), unhex(t, masterFCI))
}
