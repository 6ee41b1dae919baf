package cardsim

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// capFile is what a CAP file is made from: a package of applets whose code is
// zeros (Java Card Virtual Machine Specification 2.2.2, chapter 6).
type capFile struct {
	folder  string
	name    string // of the package
	version [2]byte
	pkg     []byte
	applets [][]byte
	imports []importedPackage
	code    int // bytes of the method component
}

type capComponent struct {
	name string
	tag  byte
	info []byte
}

// components are in the order in which they are loaded.
func (c capFile) components() []capComponent {
	versioned := func(major, minor byte, aid []byte) []byte {
		return append([]byte{minor, major, byte(len(aid))}, aid...)
	}
	const hasApplets = 0x04
	header := append([]byte{0xDE, 0xCA, 0xFF, 0xED, 2, 2, hasApplets}, versioned(c.version[0], c.version[1], c.pkg)...)
	header = append(append(header, byte(len(c.name))), c.name...)
	imports := []byte{byte(len(c.imports))}
	for _, p := range c.imports {
		imports = append(imports, versioned(p.major, p.minor, p.aid)...)
	}
	applets := []byte{byte(len(c.applets))}
	for i, aid := range c.applets {
		applets = append(append(append(applets, byte(len(aid))), aid...), 0, byte(1+i))
	}
	list := []capComponent{
		{"Header", componentHeader, header},
		{"Directory", componentDirectory, nil},
		{"Import", componentImport, imports},
		{"Applet", componentApplet, applets},
		{"Class", componentClass, make([]byte, 24)},
		{"Method", componentMethod, make([]byte, c.code)},
		{"StaticField", componentStaticField, make([]byte, 10)},
		{"ConstantPool", componentConstantPool, make([]byte, 42)},
		{"RefLocation", componentReferences, make([]byte, 20)},
		{"Descriptor", componentDescriptor, make([]byte, 60)},
	}
	directory := make([]byte, 2*componentDebug)
	directory = append(directory, 0, 0, 0, 0, 0, 0, byte(len(c.imports)), byte(len(c.applets)), 0)
	for i := range list {
		if list[i].tag == componentDirectory {
			list[i].info = directory
		}
		binary.BigEndian.PutUint16(directory[2*(list[i].tag-1):], uint16(len(list[i].info)))
	}
	return list
}

func (c capComponent) encode() []byte {
	return append([]byte{c.tag, byte(len(c.info) >> 8), byte(len(c.info))}, c.info...)
}

// loadFile is the load file without the descriptor.
func (c capFile) loadFile() []byte {
	var file []byte
	for _, component := range c.components() {
		if component.tag != componentDescriptor {
			file = append(file, component.encode()...)
		}
	}
	return file
}

// archive is the CAP file.
func (c capFile) archive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	for _, component := range c.components() {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: c.folder + "/javacard/" + component.name + ".cap", Method: zip.Deflate})
		if err == nil {
			_, err = w.Write(component.encode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func framework() []importedPackage {
	return []importedPackage{
		{1, 0, []byte{0xA0, 0x00, 0x00, 0x00, 0x62, 0x00, 0x01}},
		{1, 3, []byte{0xA0, 0x00, 0x00, 0x00, 0x62, 0x01, 0x01}},
		{1, 3, []byte{0xA0, 0x00, 0x00, 0x00, 0x62, 0x01, 0x02}},
	}
}

// appletFiles are CAP files with the AIDs of applets that the simulated card
// knows, and no code of theirs: so that a way that begins with an empty card
// can be shown without anybody's applet.
func appletFiles() map[string]capFile {
	return map[string]capFile{
		"IsoApplet.cap": {
			folder: "net/pwendland/javacard/pki/isoapplet", name: "net/pwendland/javacard/pki/isoapplet", version: [2]byte{0, 6},
			pkg: isoAppletAID()[:11], applets: [][]byte{isoAppletAID()}, imports: framework(), code: 12000,
		},
		"OpenPGP.cap": {
			folder: "fr/anssi/smartpgp", name: "fr/anssi/smartpgp", version: [2]byte{1, 0},
			pkg: openpgpAID(), applets: [][]byte{append(openpgpAID(), 0x03, 0x04, 0xAF, 0xAF, 0, 0, 0, 0, 0, 0)}, imports: framework(), code: 20000,
		},
		"OpenPGP-2.cap": {
			folder: "openpgpcard", name: "openpgpcard", version: [2]byte{1, 0},
			pkg: openpgpAID(), applets: [][]byte{append(openpgpAID(), 0x02, 0, 0, 0, 0, 0, 0, 1, 0, 0)}, imports: framework(), code: 9000,
		},
		"Muscle.cap": {
			folder: "com/musclecard/CardEdge", name: "com/musclecard/CardEdge", version: [2]byte{1, 0},
			pkg: muscleAID()[:5], applets: [][]byte{muscleAID()}, imports: framework(), code: 10000,
		},
	}
}

// TestAppletFiles keeps testdata/*.cap as appletFiles describes them; with
// CARDCTL_WRITE_CAP it writes them.
func TestAppletFiles(t *testing.T) {
	for name, file := range appletFiles() {
		path := filepath.Join("testdata", name)
		want := file.archive(t)
		if os.Getenv("CARDCTL_WRITE_CAP") != "" {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(contents(t, got), contents(t, want)) {
			t.Errorf("%s is stale: write it with CARDCTL_WRITE_CAP=1", name)
		}
	}
}

// contents is what an archive holds, whatever the compressor made of it.
func contents(t *testing.T, archive []byte) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, file := range r.File {
		all.WriteString(file.Name)
		f, err := file.Open()
		if err == nil {
			_, err = all.ReadFrom(f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.Bytes()
}
