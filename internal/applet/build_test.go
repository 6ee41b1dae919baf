package applet

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// source is a package to build a file of.
type source struct {
	minor     byte // of the CAP format
	pkg       string
	applets   []string
	imports   []string // package_info in hexadecimal
	method    int      // length of the Method component
	noDesc    bool
	flags     byte
	overwrite map[byte][]byte // components that are something else
	leaveOut  []byte
}

func sample() source {
	return source{
		minor: 2, pkg: "F000000001", applets: []string{"F00000000101"}, method: 500, flags: 0x04,
		imports: []string{"0301 07 A0000000620101", "0001 07 A0000000620001"},
	}
}

// components builds the components by tag.
func (s source) components(t testing.TB) map[byte][]byte {
	info := map[byte][]byte{}
	withLength := func(text string) []byte {
		b := unhex(t, text)
		return append([]byte{byte(len(b))}, b...)
	}
	header := append([]byte{0xDE, 0xCA, 0xFF, 0xED, s.minor, 2, s.flags, 0x00, 0x01}, withLength(s.pkg)...)
	if s.minor >= 2 {
		header = append(append(header, 9), "test/demo"...)
	}
	info[tagHeader] = header
	info[tagImport] = []byte{byte(len(s.imports))}
	for _, p := range s.imports {
		info[tagImport] = append(info[tagImport], unhex(t, p)...)
	}
	if len(s.applets) > 0 {
		info[tagApplet] = []byte{byte(len(s.applets))}
		for _, a := range s.applets {
			info[tagApplet] = append(append(info[tagApplet], withLength(a)...), 0, 0x10)
		}
	}
	info[tagConstantPool], info[tagClass] = make([]byte, 40), make([]byte, 20)
	info[tagMethod], info[tagStaticField], info[tagReferenceLocation] = make([]byte, s.method), make([]byte, 10), make([]byte, 30)
	if !s.noDesc {
		info[tagDescriptor] = make([]byte, 100)
	}
	count := map[byte]int{1: 11, 2: 12, 3: 12}[s.minor]
	info[tagDirectory] = make([]byte, 2*count+6+3)
	var directory []byte
	for tag := 1; tag <= count; tag++ {
		n := len(info[byte(tag)])
		directory = append(directory, byte(n>>8), byte(n))
	}
	directory = append(directory, 0, 0, 0, 0, 0, 0, byte(len(s.imports)), byte(len(s.applets)), 0)
	info[tagDirectory] = directory
	all := map[byte][]byte{}
	for tag, b := range info {
		all[tag] = append([]byte{tag, byte(len(b) >> 8), byte(len(b))}, b...)
	}
	for tag, b := range s.overwrite {
		all[tag] = b
	}
	for _, tag := range s.leaveOut {
		delete(all, tag)
	}
	return all
}

// entry is one file in an archive.
type entry struct {
	name string
	data []byte
}

func (s source) entries(t testing.TB, folder string) []entry {
	all := s.components(t)
	var entries []entry
	for tag := byte(1); tag <= tagStaticResource; tag++ {
		if b, ok := all[tag]; ok {
			entries = append(entries, entry{folder + componentNames[tag] + ".cap", b})
		}
	}
	return entries
}

func archive(t testing.TB, method uint16, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.CreateHeader(&zip.FileHeader{Name: e.name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (s source) cap(t testing.TB) []byte {
	return archive(t, zip.Deflate, append(s.entries(t, "test/demo/javacard/"), entry{"META-INF/MANIFEST.MF", []byte("Manifest-Version: 1.0\n")})...)
}

func (s source) ijc(t testing.TB) []byte {
	all := s.components(t)
	var data []byte
	for _, tag := range loadOrder() {
		data = append(data, all[tag]...)
	}
	return data
}

func (s source) file(t testing.TB) *File {
	t.Helper()
	f, err := Parse(s.cap(t))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func without(entries []entry, name string) []entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return strings.HasSuffix(e.name, name) })
}
