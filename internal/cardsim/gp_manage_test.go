package cardsim

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// unknownCAP is a package of two applets that the card does not know.
func unknownCAP() capFile {
	pkg := []byte{0xF0, 0x43, 0x41, 0x52, 0x44}
	return capFile{
		name: "test", version: [2]byte{1, 2}, pkg: pkg,
		applets: [][]byte{append(bytes.Clone(pkg), 1), append(bytes.Clone(pkg), 2)},
		imports: framework(), code: 600,
	}
}

func TestGPLoadRefuses(t *testing.T) {
	file := unknownCAP()
	load := file.loadFile()
	change := func(at int, b byte) []byte {
		changed := bytes.Clone(load)
		changed[at] = b
		return changed
	}
	foreign := unknownCAP()
	foreign.imports = append(foreign.imports, importedPackage{1, 0, []byte{0xF0, 1, 2, 3, 4}})
	newer := unknownCAP()
	newer.imports = []importedPackage{{1, 9, []byte{0xA0, 0x00, 0x00, 0x00, 0x62, 0x01, 0x01}}}
	const header = 3
	for _, test := range []struct {
		name string
		file []byte
		want iso7816.Status
	}{
		{"a package that is not there", foreign.loadFile(), statusNoImport},
		{"a newer package than there is", newer.loadFile(), statusNoImport},
		{"another magic number", change(header, 0), iso7816.StatusWrongData},
		{"another format", change(header+4, 9), iso7816.StatusWrongData},
		{"another package", change(header+10, 0xF1), iso7816.StatusWrongData},
		{"a component that is too long", change(1, 0xFF), iso7816.StatusWrongData},
		{"no header", load[header+int(load[2]):], iso7816.StatusWrongData},
		{"a component twice", append(bytes.Clone(load[:header+int(load[2])]), load...), iso7816.StatusWrongData},
		{"a component that is cut", load[:len(load)-1], iso7816.StatusWrongData},
		{"a component left out", load[:len(load)-23], iso7816.StatusWrongData},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := authenticated(t, Options{})
			free := m.freeMemory()
			m.load(file.pkg, test.file, 200, test.want)
			m.must(insGetStatus, 0x20, 0x02, []byte{0x4F, 0x00}, iso7816.StatusReferenceNotFound)
			if got := m.freeMemory(); got != free {
				t.Fatalf("%d bytes free, %d before", got, free)
			}
			m.load(file.pkg, load, 200, iso7816.StatusOK)
		})
	}
}

// The directory of a CAP file may name custom components.
func TestGPLoadCustomComponents(t *testing.T) {
	for name, test := range map[string]struct {
		custom string
		ok     bool
	}{
		"none":                 {"00", true},
		"one":                  {"01 80 0010 05 F000000001", true},
		"one of two":           {"02 80 0010 05 F000000001", false},
		"one too many":         {"00 80 0010 05 F000000001", false},
		"one whose AID is cut": {"01 80 0010 06 F000000001", false},
	} {
		file := unknownCAP()
		components := file.components()
		directory := &components[1]
		directory.info = append(directory.info[:len(directory.info)-1:len(directory.info)-1], unhex(t, test.custom)...)
		directory.info[3] = byte(len(directory.info)) // its own size
		var load []byte
		for _, c := range components {
			load = append(load, c.encode()...)
		}
		if _, ok := parseLoadFile(load); ok != test.ok {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

func TestGPLoadBlocks(t *testing.T) {
	file := unknownCAP()
	data := loadData(file.loadFile())
	for _, test := range []struct {
		name string
		send func(m *manager)
	}{
		{"without INSTALL", func(m *manager) { m.must(insLoad, 0, 0, data[:10], iso7816.StatusConditionsNotSatisfied) }},
		{"from block 1", func(m *manager) { m.announce(file.pkg); m.must(insLoad, 0, 1, data[:10], iso7816.StatusWrongP1P2) }},
		{"a block twice", func(m *manager) {
			m.announce(file.pkg)
			m.must(insLoad, 0, 0, data[:10], iso7816.StatusOK)
			m.must(insLoad, 0, 0, data[10:20], iso7816.StatusWrongP1P2)
			m.must(insLoad, 0, 1, data[10:20], iso7816.StatusConditionsNotSatisfied)
		}},
		{"no data", func(m *manager) { m.announce(file.pkg); m.must(insLoad, 0, 0, nil, iso7816.StatusWrongLength) }},
		{"no load file", func(m *manager) { m.announce(file.pkg); m.must(insLoad, 0, 0, data[4:], iso7816.StatusWrongData) }},
		{"more than it said", func(m *manager) {
			m.announce(file.pkg)
			m.blocks(append(bytes.Clone(data), 0), 200, iso7816.StatusWrongData)
		}},
		{"less than it said", func(m *manager) { m.announce(file.pkg); m.blocks(data[:300], 200, iso7816.StatusWrongData) }},
		{"with another command between", func(m *manager) {
			m.announce(file.pkg)
			m.must(insLoad, 0, 0, data[:10], iso7816.StatusOK)
			m.delete(file.pkg, 0, iso7816.StatusReferenceNotFound)
			m.must(insLoad, 0, 1, data[10:20], iso7816.StatusConditionsNotSatisfied)
		}},
		{"with a new session between", func(m *manager) {
			m.announce(file.pkg)
			m.must(insLoad, 0, 0, data[:10], iso7816.StatusOK)
			m.chooses(nil, iso7816.StatusOK)
			m.open(levelMAC)
			m.must(insLoad, 0, 1, data[10:20], iso7816.StatusConditionsNotSatisfied)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := authenticated(t, Options{})
			test.send(m)
			m.load(file.pkg, file.loadFile(), 247, iso7816.StatusOK)
		})
	}
}

func (m *manager) announce(pkg []byte) {
	m.t.Helper()
	m.must(insInstall, installForLoad, 0, lv(pkg, m.issuerState().AID, nil, nil, nil), iso7816.StatusOK)
}

func TestGPLoadExtended(t *testing.T) {
	file := appletFiles()["OpenPGP.cap"]
	for _, channel := range []string{"scp01-15", "scp02-15", "scp03-70"} {
		m := blank(t, Options{SecureChannel: channel})
		m.open(levelMAC | levelDecryption)
		before := m.card.Traffic().APDUs
		block := 4000
		if channel == "scp01-15" {
			block = 200 // its encryption has a length of one byte
		}
		m.load(file.pkg, file.loadFile(), block, iso7816.StatusOK)
		if n := m.card.Traffic().APDUs - before; channel != "scp01-15" && n > 8 {
			t.Errorf("%s: %d APDUs", channel, n)
		}
	}
	m := authenticated(t, Options{Profile: "short-apdus"})
	m.announce(file.pkg)
	m.must(insLoad, 0, 0, loadData(file.loadFile())[:4000], iso7816.StatusWrongLength)
}

func TestGPLoadHash(t *testing.T) {
	file := unknownCAP()
	load := file.loadFile()
	one, two := sha1.Sum(load), sha256.Sum256(load)
	other := slices.Concat([]byte{one[0] ^ 1}, one[1:])
	for _, test := range []struct {
		name          string
		hash          []byte
		install, load iso7816.Status
	}{
		{"SHA-1", one[:], iso7816.StatusOK, iso7816.StatusOK},
		{"SHA-256", two[:], iso7816.StatusOK, iso7816.StatusOK},
		{"another", other, iso7816.StatusOK, iso7816.StatusWrongData},
		{"cut", one[:19], iso7816.StatusWrongData, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := authenticated(t, Options{})
			m.must(insInstall, installForLoad, 0, lv(file.pkg, nil, test.hash, nil, nil), test.install)
			if test.load != 0 {
				m.blocks(loadData(load), 200, test.load)
			}
		})
	}
}

func TestGPMemoryRunsOut(t *testing.T) {
	file := appletFiles()["IsoApplet.cap"]
	m := authenticated(t, Options{Memory: 4000})
	m.load(file.pkg, file.loadFile(), 240, iso7816.StatusNoSpace)
	m.must(insInstall, installForLoad, 0, lv(unknownCAP().pkg, nil, nil, unhex(t, "EF06C60400001000"), nil), iso7816.StatusNoSpace)
	m.must(insInstall, installForLoad, 0, lv(unknownCAP().pkg, nil, nil, unhex(t, "EF04C6021000"), nil), iso7816.StatusNoSpace)
	if free := m.freeMemory(); free != 4000 {
		t.Fatalf("%d bytes free", free)
	}

	m = authenticated(t, Options{Memory: 15000}) // for the package, not for the instance
	m.load(file.pkg, file.loadFile(), 240, iso7816.StatusOK)
	m.install(file.pkg, file.applets[0], file.applets[0], []byte{0}, iso7816.StatusNoSpace)
	m.must(insGetStatus, 0x40, 0x02, []byte{0x4F, 0x00}, iso7816.StatusReferenceNotFound)
	m.delete(file.pkg, 0, iso7816.StatusOK)
	if free := m.freeMemory(); free != 15000 {
		t.Fatalf("%d bytes free", free)
	}
}

func TestGPInstallRefuses(t *testing.T) {
	file := unknownCAP()
	m := authenticated(t, Options{})
	m.load(file.pkg, file.loadFile(), 240, iso7816.StatusOK)
	m.install(file.pkg, file.applets[0], file.applets[0], []byte{0}, iso7816.StatusOK)
	own := []byte{0xF0, 9, 9, 9, 9}
	for name, test := range map[string]struct {
		p1   byte
		data []byte
		want iso7816.Status
	}{
		"the package again":                {installForLoad, lv(file.pkg, nil, nil, nil, nil), iso7816.StatusConditionsNotSatisfied},
		"a package of 4 bytes":             {installForLoad, lv(own[:4], nil, nil, nil, nil), iso7816.StatusWrongData},
		"a package of 17 bytes":            {installForLoad, lv(make([]byte, 17), nil, nil, nil, nil), iso7816.StatusWrongData},
		"another security domain":          {installForLoad, lv(own, own, nil, nil, nil), iso7816.StatusReferenceNotFound},
		"fields missing":                   {installForLoad, lv(own), iso7816.StatusWrongData},
		"more than the fields":             {installForLoad, append(lv(own, nil, nil, nil, nil), 1), iso7816.StatusWrongData},
		"parameters without length":        {installForLoad, lv(own, nil, nil, []byte{0xEF}, nil), iso7816.StatusWrongData},
		"the instance again":               {0x0C, lv(file.pkg, file.applets[0], file.applets[0], []byte{0}, []byte{0xC9, 0}, nil), iso7816.StatusConditionsNotSatisfied},
		"an instance named as the package": {0x0C, lv(file.pkg, file.applets[0], file.pkg, []byte{0}, []byte{0xC9, 0}, nil), iso7816.StatusConditionsNotSatisfied},
		"no such module":                   {0x0C, lv(file.pkg, own, own, []byte{0}, []byte{0xC9, 0}, nil), iso7816.StatusReferenceNotFound},
		"no such package":                  {0x0C, lv(own, file.applets[1], own, []byte{0}, []byte{0xC9, 0}, nil), iso7816.StatusReferenceNotFound},
		"an instance of 4 bytes":           {0x0C, lv(file.pkg, file.applets[1], own[:4], []byte{0}, []byte{0xC9, 0}, nil), iso7816.StatusWrongData},
		"privileges of two bytes":          {0x0C, lv(file.pkg, file.applets[1], own, []byte{0, 0}, []byte{0xC9, 0}, nil), iso7816.StatusWrongData},
		"a security domain":                {0x0C, lv(file.pkg, file.applets[1], own, []byte{0x80}, []byte{0xC9, 0}, nil), iso7816.StatusWrongData},
		"parameters without C9":            {0x0C, lv(file.pkg, file.applets[1], own, []byte{0}, []byte{0xCA, 0}, nil), iso7816.StatusWrongData},
		"more memory than there is":        {0x0C, lv(file.pkg, file.applets[1], own, []byte{0}, unhex(t, "C900EF06C8047FFFFFFF"), nil), iso7816.StatusNoSpace},
		"an unknown P1":                    {0x0E, lv(own, nil, nil, nil, nil, nil), iso7816.StatusWrongP1P2},
		"to another security domain":       {installForExtradition, lv(own, nil, file.applets[0], nil, nil, nil), iso7816.StatusReferenceNotFound},
		"nobody to its domain":             {installForExtradition, lv(issuerAID(), nil, own, nil, nil, nil), iso7816.StatusReferenceNotFound},
		"to its own security domain":       {installForExtradition, lv(issuerAID(), nil, file.applets[0], nil, nil, nil), iso7816.StatusOK},
		"data of nobody":                   {installForPersonalization, lv(nil, nil, own, nil, nil, nil), iso7816.StatusReferenceNotFound},
		"privileges of nobody":             {installForRegistryUpdate, lv(nil, nil, own, []byte{0}, nil, nil), iso7816.StatusReferenceNotFound},
		"selectable once more":             {installForSelectable, lv(nil, nil, file.applets[0], []byte{0}, nil, nil), iso7816.StatusConditionsNotSatisfied},
	} {
		if _, got := m.manage(insInstall, test.p1, 0, test.data); got != test.want {
			t.Errorf("%s: answered %v, want %v", name, got, test.want)
		}
	}
	long := slices.Concat(lv(file.pkg, file.applets[1], own, []byte{0}), []byte{0x81, 0x84, 0xC9, 0x81, 0x81}, make([]byte, 129), []byte{0})
	m.must(insInstall, 0x0C, 0, long, iso7816.StatusOK)
}

func TestGPInstallInTwoSteps(t *testing.T) {
	file := unknownCAP()
	m := authenticated(t, Options{})
	m.load(file.pkg, file.loadFile(), 240, iso7816.StatusOK)
	aid := file.applets[0]
	m.must(insInstall, installForInstall, 0, lv(file.pkg, aid, nil, []byte{0}, []byte{0xC9, 0}, nil), iso7816.StatusOK)
	equal(t, "the entry", m.must(insGetStatus, 0x40, 0, lv3(0x4F, aid), iso7816.StatusOK), append(lv(aid), 0x03, 0x00))
	m.chooses(aid, iso7816.StatusFileNotFound)
	m.open(levelMAC)
	m.must(insInstall, installForSelectable, 0, lv(nil, nil, aid, []byte{0}, nil, nil), iso7816.StatusOK)
	m.chooses(aid, iso7816.StatusOK)
	m.expect("00B0000000", 0x6D00)
}

// lv3 is a data object with a tag of one byte.
func lv3(tag byte, value []byte) []byte { return append([]byte{tag}, lv(value)...) }

func TestGPDelete(t *testing.T) {
	file := unknownCAP()
	m := authenticated(t, Options{})
	free := m.freeMemory()
	m.load(file.pkg, file.loadFile(), 240, iso7816.StatusOK)
	for _, aid := range file.applets {
		m.install(file.pkg, aid, aid, []byte{0}, iso7816.StatusOK)
	}
	user := unknownCAP()
	user.pkg, user.applets = []byte{0xF0, 1, 1, 1, 1}, [][]byte{{0xF0, 1, 1, 1, 1, 1}}
	user.imports = append(user.imports, importedPackage{1, 1, file.pkg})
	m.load(user.pkg, user.loadFile(), 240, iso7816.StatusOK)

	m.delete(m.issuerState().AID, 0, iso7816.StatusConditionsNotSatisfied)
	m.delete([]byte{1, 2, 3, 4, 5}, 0, iso7816.StatusReferenceNotFound)
	m.delete(file.pkg, 0, iso7816.StatusConditionsNotSatisfied) // applets of it are installed
	m.delete(file.applets[0], 0, iso7816.StatusOK)
	m.delete(file.pkg, 0, iso7816.StatusConditionsNotSatisfied)
	m.delete(file.pkg, 0x80, iso7816.StatusConditionsNotSatisfied) // another package needs it
	m.delete(user.pkg, 0, iso7816.StatusOK)
	m.delete(file.pkg, 0x80, iso7816.StatusOK)
	m.must(insDeleteObject, 1, 0, lv3(0x4F, file.pkg), iso7816.StatusWrongP1P2)
	m.must(insDeleteObject, 0, 0, []byte{0x4F}, iso7816.StatusWrongData)
	if got := m.freeMemory(); got != free {
		t.Fatalf("%d bytes free, %d before", got, free)
	}
}

func TestGPStatusInPieces(t *testing.T) {
	m := authenticated(t, Options{})
	const packages = 32
	for n := range packages {
		file := unknownCAP()
		file.pkg[4] = byte(n)
		file.applets = [][]byte{append(bytes.Clone(file.pkg), 1)}
		m.put(file)
	}
	for _, format := range []byte{0x00, 0x02} {
		for _, subset := range []byte{0x40, 0x20, 0x10} {
			t.Run(fmt.Sprintf("subset %02X format %02X", subset, format), func(t *testing.T) {
				answer, status := m.manage(insGetStatus, subset, format, []byte{0x4F, 0x00})
				if status != statusMoreData {
					t.Fatalf("answered %v", status)
				}
				for status == statusMoreData {
					var part []byte
					part, status = m.manage(insGetStatus, subset, format|1, []byte{0x4F, 0x00})
					answer = append(answer, part...)
				}
				if status != iso7816.StatusOK || bytes.Count(answer, unknownCAP().pkg[:4]) < packages {
					t.Fatalf("%v after %X", status, answer)
				}
				m.must(insGetStatus, subset, format|1, []byte{0x4F, 0x00}, iso7816.StatusConditionsNotSatisfied)
			})
		}
	}
	one := []byte{0xF0, 0x43, 0x41, 0x52, 3}
	equal(t, "one", m.must(insGetStatus, 0x10, 0x00, lv3(0x4F, one), iso7816.StatusOK), slices.Concat(lv(one), []byte{1, 0, 1}, lv(append(one, 1))))
	equal(t, "tags asked for", m.must(insGetStatus, 0x40, 0x02, append(lv3(0x4F, one), 0x5C, 0x03, 0x4F, 0x9F, 0x70), iso7816.StatusOK),
		slices.Concat([]byte{0xE3, 12, 0x4F, 6}, append(one, 1), []byte{0x9F, 0x70, 1, 7}))
	m.must(insGetStatus, 0x48, 0x02, []byte{0x4F, 0x00}, iso7816.StatusWrongP1P2)
	equal(t, "applications and packages", m.must(insGetStatus, 0x60, 0x00, lv3(0x4F, one), iso7816.StatusOK),
		slices.Concat(lv(append(one, 1)), []byte{7, 0}, lv(one), []byte{1, 0}))
	m.must(insGetStatus, 0x40, 0x02, []byte{0x5C, 0x00}, iso7816.StatusWrongData)
	m.must(insGetStatus, 0x40, 0x04, []byte{0x4F, 0x00}, iso7816.StatusWrongP1P2)
}

func TestGPLifeCycleOfTheCard(t *testing.T) {
	m := authenticated(t, Options{})
	m.put(appletFiles()["Muscle.cap"])
	state := func(next byte, want iso7816.Status) {
		t.Helper()
		m.must(insSetStatus, 0x80, next, nil, want)
	}
	state(cardSecured, iso7816.StatusConditionsNotSatisfied)
	state(0x05, iso7816.StatusWrongData)
	state(cardInitialized, iso7816.StatusOK)
	state(cardReady, iso7816.StatusWrongData)
	state(cardSecured, iso7816.StatusOK)
	m.powerCycle()
	m.initialize(0)
	m.authenticate(0, iso7816.StatusSecurityNotSatisfied) // a secured card wants a MAC
	m.open(levelMAC)
	state(cardLocked, iso7816.StatusOK)
	m.must(insInstall, installForLoad, 0, lv(unknownCAP().pkg, nil, nil, nil, nil), iso7816.StatusConditionsNotSatisfied)
	m.chooses(muscleAID(), iso7816.StatusFileNotFound)
	m.chooses(nil, statusLocked)
	m.open(levelMAC)
	state(cardSecured, iso7816.StatusOK)
	m.chooses(muscleAID(), iso7816.StatusOK)
	m.chooses(nil, iso7816.StatusOK)
	m.open(levelMAC)
	state(cardTerminated, iso7816.StatusOK)
	m.powerCycle()
	m.chooses(nil, iso7816.StatusConditionsNotSatisfied)
	m.expect("8050000008010203040506070800", 0x6985)
	equal(t, "life cycle", m.expect("80CA9F7000", 0x9000), []byte{0x9F, 0x70, 1, cardTerminated})
}

func TestGPLifeCycleOfAnApplication(t *testing.T) {
	m := authenticated(t, Options{})
	m.put(appletFiles()["Muscle.cap"])
	aid := muscleAID()
	m.must(insSetStatus, 0x40, 0x80, aid, iso7816.StatusOK)
	m.chooses(aid, iso7816.StatusFileNotFound)
	m.powerCycle()
	m.open(levelMAC)
	equal(t, "the entry", m.must(insGetStatus, 0x40, 0, lv3(0x4F, aid), iso7816.StatusOK), append(lv(aid), 0x87, 0))
	m.must(insSetStatus, 0x40, 0x07, aid, iso7816.StatusOK)
	m.chooses(aid, iso7816.StatusOK)
	m.chooses(nil, iso7816.StatusOK)
	m.open(levelMAC)
	m.must(insSetStatus, 0x40, 0x0F, aid, iso7816.StatusConditionsNotSatisfied)
	m.must(insSetStatus, 0x40, 0x80, aid[:5], iso7816.StatusReferenceNotFound)
	m.must(insSetStatus, 0x20, 0x80, aid, iso7816.StatusWrongP1P2)
}

func TestGPDefaultSelected(t *testing.T) {
	file := appletFiles()["OpenPGP.cap"]
	m := authenticated(t, Options{})
	m.load(file.pkg, file.loadFile(), 240, iso7816.StatusOK)
	m.install(file.pkg, file.applets[0], file.applets[0], []byte{privilegeDefaultSelected}, iso7816.StatusOK)
	m.powerCycle()
	m.expect("00CA004F00", 0x9000) // GET DATA of the OpenPGP application
	m.chooses(nil, iso7816.StatusOK)
	m.open(levelMAC)
	m.must(insInstall, installForRegistryUpdate, 0, lv(nil, nil, file.applets[0], []byte{0}, nil, nil), iso7816.StatusOK)
	m.powerCycle()
	m.expect("80CA006600", 0x9000)
	if issuer := m.issuerState(); issuer.Privileges[0]&privilegeDefaultSelected == 0 {
		t.Fatal("nothing is selected by default")
	}
}

func TestGPPutKey(t *testing.T) {
	for _, channel := range []string{"scp01-05", "scp02-15", "scp02-54", "scp03-70", "scp03-00-aes192", "scp03-71-aes256"} {
		t.Run(channel, func(t *testing.T) {
			m := authenticated(t, Options{SecureChannel: channel})
			fresh := wellKnownKey(len(m.keys[0]))
			for i := range fresh {
				fresh[i] ^= 0x0F
			}
			data := m.keyData(1, fresh)
			wrong := bytes.Clone(data)
			wrong[len(wrong)-1] ^= 1
			p2 := byte(0x81)
			if len(m.keys) == 1 {
				p2 = 0x01
			}
			m.must(insPutKey, 0x00, p2, wrong, iso7816.StatusWrongData)
			m.must(insPutKey, 0x05, p2, data, iso7816.StatusReferenceNotFound)
			m.must(insPutKey, 0x00, p2^0x80, data, iso7816.StatusWrongData)
			want := []byte{1}
			for range m.keys {
				want = append(want, m.channel.checkValue(fresh)...)
			}
			equal(t, "answer", m.must(insPutKey, 0x00, p2, data, iso7816.StatusOK), want)
			for i := range m.keys {
				m.keys[i] = fresh
			}
			m.powerCycle()
			m.expect("805000FF"+"0800", 0x6700)
			m.open(levelMAC)
			m.must(insPutKey, 0x00, p2, m.keyData(1, fresh), iso7816.StatusConditionsNotSatisfied) // that version is there
			m.must(insPutKey, 0x01, p2, m.keyData(2, fresh), iso7816.StatusOK)
			m.must(insPutKey, 0x00, p2, m.keyData(3, fresh), iso7816.StatusOK)
			m.must(insDeleteObject, 0, 0, []byte{0xD2, 1, 9}, iso7816.StatusReferenceNotFound)
			m.must(insDeleteObject, 0, 0, []byte{0xD2, 1, 2}, iso7816.StatusOK)
			m.must(insDeleteObject, 0, 0, []byte{0xD2, 1, 3}, iso7816.StatusConditionsNotSatisfied) // the last
			information := m.must(iso7816.InsGetData, 0, 0xE0, nil, iso7816.StatusOK)
			if bytes.Count(information, []byte{0xC0, 4}) != len(m.keys) || information[5] != 3 {
				t.Fatalf("key information %X", information)
			}
		})
	}
}

// keyData is the data of PUT KEY: the same key for each.
func (m *manager) keyData(version byte, key []byte) []byte {
	data := []byte{version}
	for range m.keys {
		data = append(data, m.channel.keyType())
		if aes, ok := m.m.(*aesMessaging); ok {
			padded := append(bytes.Clone(key), make([]byte, -len(key)&15)...)
			secret := encryptCBC(newAES(aes.dek), make([]byte, 16), padded)
			data = append(append(data, byte(1+len(secret)), byte(len(key))), secret...)
		} else {
			secret := make([]byte, 16)
			block := tripleDES(m.m.(*desMessaging).dek)
			block.Encrypt(secret, key)
			block.Encrypt(secret[8:], key[8:])
			data = append(append(data, 16), secret...)
		}
		data = append(append(data, 3), m.channel.checkValue(key)...)
	}
	return data
}

func TestGPStoreData(t *testing.T) {
	m := authenticated(t, Options{})
	m.must(insStoreData, 0x90, 0, unhex(t, "4204AABBCCDD4502A1B2"), iso7816.StatusOK)
	equal(t, "IIN", m.must(iso7816.InsGetData, 0, 0x42, nil, iso7816.StatusOK), unhex(t, "4204AABBCCDD"))
	equal(t, "CIN", m.must(iso7816.InsGetData, 0, 0x45, nil, iso7816.StatusOK), unhex(t, "4502A1B2"))
	m.must(insStoreData, 0x10, 0, unhex(t, "4205010203"), iso7816.StatusOK)
	m.must(insStoreData, 0x90, 1, unhex(t, "0405"), iso7816.StatusOK)
	equal(t, "IIN", m.must(iso7816.InsGetData, 0, 0x42, nil, iso7816.StatusOK), unhex(t, "42050102030405"))
	m.must(insStoreData, 0x88, 0, unhex(t, "9F66080102030405060708"), iso7816.StatusOK)
	if cplc := m.must(iso7816.InsGetData, 0x9F, 0x7F, nil, iso7816.StatusOK); !bytes.HasSuffix(cplc, []byte{1, 2, 3, 4, 5, 6, 7, 8}) || len(cplc) != 45 {
		t.Fatalf("CPLC %X", cplc)
	}
	m.must(insStoreData, 0x80, 1, unhex(t, "4200"), iso7816.StatusWrongP1P2)
	m.must(insStoreData, 0x80, 0, unhex(t, "42"), iso7816.StatusWrongData)
	m.must(insStoreData, 0x80, 0, unhex(t, "5000"), iso7816.StatusReferenceNotFound)
	m.must(insStoreData, 0x80, 0, unhex(t, "4F0401020304"), iso7816.StatusWrongData)
	m.must(insStoreData, 0x80, 0, unhex(t, "4F050102030405"), iso7816.StatusOK)
	m.chooses([]byte{1, 2, 3, 4, 5}, iso7816.StatusOK)
	m.open(levelMAC)

	m.put(unknownCAP())
	m.must(insInstall, installForPersonalization, 0, lv(nil, nil, unknownCAP().applets[0], nil, nil, nil), iso7816.StatusOK)
	m.must(insStoreData, 0x80, 0, []byte{1, 2, 3}, iso7816.StatusOK)
	m.must(insInstall, installForPersonalization, 0, lv(nil, nil, unknownCAP().applets[1], nil, nil, nil), iso7816.StatusReferenceNotFound)
}
