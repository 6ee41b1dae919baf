package output

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestWriteDocument(t *testing.T) {
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"fields follow": {map[string]any{"a": 1}, `{"schema":"cardctl/v1","kind":"K","a":1}`},
		"no fields":     {struct{}{}, `{"schema":"cardctl/v1","kind":"K"}`},
		"what does not print": {
			map[string]any{"label": "a\x1b[2J\x7f\u009b\u202e\u200b\u2028\ufeff\u00a0\U000e0001ä€😀"},
			`{"schema":"cardctl/v1","kind":"K","label":"a\u001b[2J\u007f\u009b\u202e\u200b\u2028\ufeff\u00a0\udb40\udc01ä€😀"}`,
		},
		"nothing escaped": {map[string]any{"dn": "CN=<a&b>"}, `{"schema":"cardctl/v1","kind":"K","dn":"CN=<a&b>"}`},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := WriteDocument(&b, "K", c.v); err != nil {
				t.Fatal(err)
			}
			if b.String() != c.want+"\n" {
				t.Errorf("got %s, want %s", b.String(), c.want)
			}
		})
	}
	for name, v := range map[string]any{"a list": []int{1}, "null": nil, "a channel": make(chan int)} {
		if err := WriteDocument(&bytes.Buffer{}, "K", v); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func TestSheet(t *testing.T) {
	var s Sheet
	s.Heading("Card \x1b[2J one")
	s.Field("ATR", "3BDA")
	s.Field("Subject", `CN=Floppy Head,OU="Webserver Team",O="Snake Oil, Ltd",L=Snake Town,ST=Snake Desert,C=XY`)
	s.Field("Left out", "")
	s.Gap()
	s.Heading("PINs")
	s.Table([]string{"NAME", "TRIES"}, []string{"reset-code", "0"}, []string{"ädmin", "3"})
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := `Card \x1b[2J one
  ATR      3BDA
  Subject  CN=Floppy Head,OU="Webserver Team",O="Snake Oil, Ltd",L=Snake Town,
           ST=Snake Desert,C=XY

PINs
  NAME        TRIES
  reset-code  0
  ädmin       3
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if utf8.RuneCountInString(line) > Width {
			t.Errorf("wider than %d: %q", Width, line)
		}
	}
}

// A value that is copied is in one line, and cannot move the cursor either.
func TestAWholeValueIsInOneLine(t *testing.T) {
	var s Sheet
	uri := "pkcs11:" + strings.Repeat("token=desk;", 20)
	s.Whole("URI", uri+"\x1b")
	s.Whole("left out", "")
	s.Field("ID", "45")
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil || b.String() != "  URI  "+uri+`\x1b`+"\n  ID   45\n" {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestLine(t *testing.T) {
	if got := Line("two\nlines\tand\x07 a\xff bell"); got != `two lines and\a a� bell` {
		t.Errorf("got %q", got)
	}
}

func TestLines(t *testing.T) {
	if got := Lines("a \x1b[31m\u202eb\n  c\u009b \u2028d: "); got != "a \\x1b[31m\\u202eb\n  c\\u009b \\u2028d: " {
		t.Errorf("got %q", got)
	}
}

func TestTime(t *testing.T) {
	if got := Time(time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))); got != "2026-01-02T02:04:05Z" {
		t.Error(got)
	}
	if got := Time(time.Time{}); got != "" {
		t.Error(got)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "request.pem")
	write := func(path, data string) {
		t.Helper()
		if err := WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(want string, perm fs.FileMode) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^perm != 0 {
			t.Errorf("got %v, %v, want %v", info.Mode(), err, perm)
		}
	}
	write(path, "new")
	read("new", 0o644)

	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	write(path, "replaced")
	read("replaced", 0o600)

	link := filepath.Join(dir, "link")
	if err := os.Symlink("request.pem", link); err != nil {
		t.Fatal(err)
	}
	write(link, "through the link")
	read("through the link", 0o600)

	write(os.DevNull, "gone")
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s is %v, %v", os.DevNull, info.Mode(), err)
	}

	for name, path := range map[string]string{"a directory": dir, "no directory": filepath.Join(dir, "none", "x")} {
		err := WriteFile(path, []byte("x"), 0o644)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestProgress(t *testing.T) {
	var plain bytes.Buffer
	p := NewProgress(&plain, false)
	p.Show("making a key")
	p.Show("writing")
	p.Done()
	if plain.String() != "making a key\nwriting\n" {
		t.Errorf("got %q", plain.String())
	}

	var live bytes.Buffer
	p = NewProgress(&live, true)
	p.Show("making a key")
	p.Done()
	p.Done()
	if got := live.String(); !strings.Contains(got, "making a key 0s") || !strings.HasSuffix(got, clearLine) {
		t.Errorf("got %q", got)
	}

	live.Reset()
	p.Working("init")
	p.Done()
	if live.String() != "" {
		t.Errorf("got %q for work that took no time", live.String())
	}
	p.Working("init")
	time.Sleep(patience + 2*spinnerPeriod)
	p.Done()
	if got := live.String(); !strings.Contains(got, "init 0s") || !strings.HasSuffix(got, clearLine) {
		t.Errorf("got %q", got)
	}
	plain.Reset()
	p = NewProgress(&plain, false)
	p.Working("init")
	time.Sleep(patience + spinnerPeriod)
	p.Done()
	if plain.String() != "" {
		t.Errorf("got %q where nothing moves", plain.String())
	}
}

// Lines are taken away again before anything else is written, and shown on a terminal only.
func TestProgressLines(t *testing.T) {
	var live, plain bytes.Buffer
	p := NewProgress(&live, true)
	p.Lines([]string{"a", "b\x1b[2J"})
	p.Lines([]string{"c"})
	p.Ring()
	p.Done()
	p.Done()
	if want := "a\nb\\x1b[2J\n" + lineUp + clearLine + lineUp + clearLine + "c\n\a" + lineUp + clearLine; live.String() != want {
		t.Errorf("%q, want %q", live.String(), want)
	}
	p = NewProgress(&plain, false)
	p.Lines([]string{"a"})
	p.Ring()
	p.Done()
	if plain.Len() > 0 {
		t.Errorf("%q", plain.String())
	}
}

// A program gets a document for each message.
func TestJSONProgress(t *testing.T) {
	var got bytes.Buffer
	p := NewJSONProgress(&got)
	p.Show("generating")
	p.Working("gen-key")
	p.Bar("loading", 1, 2)
	p.Lines([]string{"a"})
	p.Ring()
	p.Done()
	want := `{"schema":"cardctl/v1","kind":"Progress","message":"generating"}` + "\n" + `{"schema":"cardctl/v1","kind":"Progress","message":"loading"}` + "\n"
	if got.String() != want {
		t.Errorf("%s", got.String())
	}
}
