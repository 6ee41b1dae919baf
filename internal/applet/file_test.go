package applet

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestParse(t *testing.T) {
	s21, s23, library := sample(), sample(), sample()
	s21.minor, s23.minor = 1, 3
	library.applets, library.flags = nil, 0x02
	two := sample()
	two.applets = []string{"F00000000101", "F00000000102"}
	noDescriptor := sample()
	noDescriptor.leaveOut = []byte{tagDescriptor}
	entries := sample().entries(t, "test/demo/javacard/")
	for name, test := range map[string]struct {
		data    []byte
		format  Format
		applets int
	}{
		"2.2":                     {sample().cap(t), FormatCAP, 1},
		"2.1":                     {s21.cap(t), FormatCAP, 1},
		"2.3":                     {s23.cap(t), FormatCAP, 1},
		"not compressed":          {archive(t, zip.Store, entries...), FormatCAP, 1},
		"deep folders":            {archive(t, zip.Deflate, sample().entries(t, "a/b/c/d/test/demo/javacard/")...), FormatCAP, 1},
		"no folder but its own":   {archive(t, zip.Deflate, sample().entries(t, "javacard/")...), FormatCAP, 1},
		"backslashes":             {archive(t, zip.Deflate, sample().entries(t, `test\demo\javacard\`)...), FormatCAP, 1},
		"another case":            {archive(t, zip.Deflate, lower(entries)...), FormatCAP, 1},
		"a library":               {library.cap(t), FormatCAP, 0},
		"two applets":             {two.cap(t), FormatCAP, 2},
		"no Descriptor":           {noDescriptor.cap(t), FormatCAP, 1},
		"IJC":                     {sample().ijc(t), FormatIJC, 1},
		"IJC 2.1":                 {s21.ijc(t), FormatIJC, 1},
		"IJC without Descriptor":  {noDescriptor.ijc(t), FormatIJC, 1},
		"class files beside them": {archive(t, zip.Deflate, append(entries, entry{"test/demo/Demo.class", []byte("x")})...), FormatCAP, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(test.data)
			if err != nil {
				t.Fatal(err)
			}
			if f.Format != test.format || len(f.Applets) != test.applets || f.Package.AID.String() != "F000000001" || len(f.Imports) != 2 {
				t.Errorf("%+v", f)
			}
			if again, err := Parse(f.LoadFile(true, true)); err != nil || !bytes.Equal(again.LoadFile(false, false), f.LoadFile(false, false)) {
				t.Errorf("the load file is no IJC file: %v", err)
			}
		})
	}
}

func lower(entries []entry) (l []entry) {
	for _, e := range entries {
		l = append(l, entry{strings.ToLower(e.name), e.data})
	}
	return l
}

func TestRefusedFiles(t *testing.T) {
	entries := sample().entries(t, "test/demo/javacard/")
	with := func(tag byte, b []byte) []byte {
		s := sample()
		s.overwrite = map[byte][]byte{tag: b}
		return s.cap(t)
	}
	leave := func(tag byte) []byte {
		s := sample()
		s.leaveOut = []byte{tag}
		return s.cap(t)
	}
	flags := func(f byte) []byte { s := sample(); s.flags = f; return s.cap(t) }
	minor := func(m byte) []byte { s := sample(); s.minor = m; return s.cap(t) }
	aid := func(pkg string, applets ...string) []byte {
		s := sample()
		s.pkg, s.applets = pkg, applets
		return s.cap(t)
	}
	method := append([]byte{tagMethod, 0x01, 0xF4}, make([]byte, 500)...)
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                   {nil, "empty"},
		"text":                    {[]byte("MZ not a package"), "neither"},
		"a ZIP with nothing":      {archive(t, zip.Store), "no components"},
		"a ZIP that is cut":       {sample().cap(t)[:200], "cannot be read"},
		"no Header":               {leave(tagHeader), "Header component is missing"},
		"no Directory":            {leave(tagDirectory), "Directory component is missing"},
		"no Import":               {leave(tagImport), "Import component is missing"},
		"no Class":                {leave(tagClass), "Class component is missing"},
		"no Method":               {leave(tagMethod), "Method component is missing"},
		"no StaticField":          {leave(tagStaticField), "StaticField component is missing"},
		"no ConstantPool":         {leave(tagConstantPool), "ConstantPool component is missing"},
		"no RefLocation":          {leave(tagReferenceLocation), "RefLocation component is missing"},
		"no Applet":               {leave(tagApplet), "Applet component is missing"},
		"a component twice":       {archive(t, zip.Store, append(entries, entry{"test/demo/javacard/METHOD.cap", method})...), "twice"},
		"two packages":            {archive(t, zip.Store, append(entries, sample().entries(t, "other/javacard/")...)...), "several packages"},
		"the extended format":     {archive(t, zip.Store, append(without(entries, "Method.cap"), entry{"test/demo/javacard/Method.capx", method})...), "extended format"},
		"the extended flag":       {flags(0x0C), "extended format"},
		"applets without flag":    {flags(0x00), "disagree"},
		"version 2.4":             {minor(4), "version 2.4"},
		"a name that leads out":   {archive(t, zip.Store, append(entries, entry{"../../etc/javacard/Debug.cap", method})...), "leads out"},
		"an absolute name":        {archive(t, zip.Store, append(entries, entry{"/etc/javacard/Debug.cap", method})...), "leads out"},
		"another tag":             {with(tagMethod, append([]byte{tagClass}, method[1:]...)), "Method.cap contains"},
		"a length too great":      {with(tagMethod, append([]byte{tagMethod, 0xFF, 0xFF}, method[3:]...)), "states 65535 bytes"},
		"a length too small":      {with(tagMethod, append([]byte{tagMethod, 0x01, 0x00}, method[3:]...)), "too many"},
		"a length of zero":        {with(tagMethod, []byte{tagMethod, 0, 0}), "empty"},
		"not the Directory's":     {with(tagMethod, append([]byte{tagMethod, 0x01, 0xF3}, method[4:]...)), "Directory component states 500"},
		"no magic":                {with(tagHeader, append([]byte{tagHeader, 0, 24}, make([]byte, 24)...)), "DECAFFED"},
		"a zip bomb":              {with(tagMethod, append([]byte{tagMethod, 0xFF, 0xFF}, make([]byte, 5<<20)...)), "would have"},
		"a package AID of 4":      {aid("F0000000", "F00000000101"), "AID of 4 bytes"},
		"a package AID of 17":     {aid("F0000000000000000000000000000000AA", "F00000000101"), "AID of 17 bytes"},
		"an applet AID of 4":      {aid("F000000001", "F0000000"), "AID of 4 bytes"},
		"the same applet twice":   {aid("F000000001", "F00000000101", "F00000000101"), "applets have the AID"},
		"an IJC that is cut":      {sample().ijc(t)[:100], "component"},
		"an IJC with a bad tag":   {append(sample().ijc(t), 99, 0, 1, 0), "not the tag"},
		"an IJC component twice":  {append(sample().ijc(t), method...), "twice"},
		"a Directory that is cut": {with(tagDirectory, []byte{tagDirectory, 0, 5, 0, 19, 0, 31, 0}), "Directory component"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(test.data)
			if !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestCutEverywhere cuts files at every byte: none may be taken for whole.
func TestCutEverywhere(t *testing.T) {
	small := sample()
	small.method = 20
	for name, data := range map[string][]byte{"CAP": small.cap(t), "IJC": small.ijc(t)} {
		whole, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(data) {
			f, err := Parse(data[:n])
			if err == nil && !bytes.Equal(f.LoadFile(false, false), whole.LoadFile(false, false)) {
				t.Errorf("%s cut at %d of %d bytes is taken", name, n, len(data))
			}
		}
	}
}

func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.cap")
	if err := os.WriteFile(path, sample().cap(t), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	r := f.Report()
	if r.JavaCard != "2.2.2" || r.Package.Name != "test.demo" || r.Imports[0].Name != "javacard.framework" || r.LoadSizeFull != r.LoadSize+103 ||
		len(r.SHA1) != 40 || len(r.SHA256) != 64 || r.CAPVersion.String() != "2.2" || r.Applets[0].String() != "F00000000101" {
		t.Errorf("%+v", r)
	}
	if _, err := ReadFile(t.Context(), filepath.Join(t.TempDir(), "none.cap")); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
	if err := os.WriteFile(path, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(t.Context(), path); !problem.Is(err, problem.Mismatch) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	small := sample()
	small.method = 20
	f.Add(small.cap(f))
	f.Add(archive(f, zip.Store, small.entries(f, "javacard/")...))
	f.Fuzz(func(t *testing.T, data []byte) { checkParsed(t, data) })
}

func FuzzParseIJC(f *testing.F) {
	small := sample()
	small.method = 20
	f.Add(small.ijc(f))
	small.minor = 1
	f.Add(small.ijc(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 0 {
			data[0] = tagHeader
		}
		checkParsed(t, data)
	})
}

func checkParsed(t *testing.T, data []byte) {
	file, err := Parse(data)
	if err != nil {
		if !problem.Is(err, problem.Mismatch) {
			t.Errorf("%v", err)
		}
		return
	}
	if file.Package.AID.Check() != nil || len(file.LoadFile(false, false)) == 0 {
		t.Errorf("%+v", file)
	}
	_ = file.Report()
}
