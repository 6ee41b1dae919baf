package setup

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func policy(values ...string) *members {
	ms := &members{}
	for _, v := range values {
		name, value, _ := strings.Cut(v, "=")
		m := member{Path: strings.Split(strings.TrimSuffix(name, "[]"), "."), Value: value, Listed: strings.HasSuffix(name, "[]")}
		ms.Members = append(ms.Members, m)
	}
	return ms
}

// TestEdits writes into files as they are found, looks, and takes back.
func TestEdits(t *testing.T) {
	settings := &block{Name: "vpn", Comment: "#", Content: "engine pkcs11\n"}
	first := &block{Name: "vpn", Comment: "#", Content: "engine pkcs11\n", First: true}
	const own = "# cardctl vpn: begin\nengine pkcs11\n# cardctl vpn: end\n"
	for _, c := range []struct {
		name, before, want string
		none               bool
		edit               edit
	}{
		{name: "a file of ours", none: true, want: "x\n", edit: &whole{"x\n"}},
		{name: "a file of ours in the place of another", before: "y", want: "x\n", edit: &whole{"x\n"}},
		{name: "a block in no file", none: true, want: own, edit: settings},
		{name: "a block in an empty file", want: own, edit: settings},
		{name: "a block behind lines", before: "a\n", want: "a\n" + own, edit: settings},
		{name: "a block behind a line without an end", before: "a", want: "a\n" + own, edit: settings},
		{name: "a block behind DOS lines", before: "a\r\nb\r\n", want: "a\r\nb\r\n" + own, edit: settings},
		{name: "a block before lines", before: "a", want: own + "a", edit: first},
		{name: "members in no file", none: true, want: "{\n  \"policies\": {\n    \"SecurityDevices\": {\n      \"cards\": \"/x.so\"\n    }\n  }\n}\n", edit: policy("policies.SecurityDevices.cards=/x.so")},
		{
			name: "members beside others, in their order", before: `{"z":1e3,"policies":{"B":true,"A":[1,2]},"a":"<&>"}`,
			want: "{\n  \"z\": 1e3,\n  \"policies\": {\n    \"B\": true,\n    \"A\": [\n      1,\n      2\n    ],\n    \"C\": [\n      \"/ca.pem\"\n    ]\n  },\n  \"a\": \"<&>\"\n}\n",
			edit: policy("policies.C[]=/ca.pem"),
		},
		{name: "an element in a list", before: `{"l":["a"]}`, want: "{\n  \"l\": [\n    \"a\",\n    \"b\"\n  ]\n}\n", edit: policy("l[]=b")},
		{name: "a preference in no file", none: true, want: "user_pref(\"a.b\", 3);\n", edit: &preference{"a.b", "3"}},
		{name: "a preference behind others", before: "// Mozilla\nuser_pref(\"a\", 1);", want: "// Mozilla\nuser_pref(\"a\", 1);\nuser_pref(\"a.b\", 3);\n", edit: &preference{"a.b", "3"}},
		{
			name: "a preference in the place of another value", before: "user_pref(\"a.b\", 4);\nuser_pref(\"z\", \"\");\n",
			want: "user_pref(\"a.b\", 3);\nuser_pref(\"z\", \"\");\n", edit: &preference{"a.b", "3"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := onDisk(t, c.edit)
			if !c.none {
				put(t, f.Path, c.before)
			}
			if is := look(t, f); is == present {
				t.Fatal("there before it is written")
			}
			written(t, f)
			if got := get(t, f.Path); got != c.want {
				t.Errorf("written:\n%s\nnot:\n%s", got, c.want)
			}
			if is := look(t, f); is != present {
				t.Errorf("state %d after it was written", is)
			}
			undone(t, f)
			if c.none {
				if _, err := os.Stat(filepath.Dir(f.Path)); err == nil {
					t.Error("the directory that was made is still there")
				}
				return
			}
			if got := get(t, f.Path); got != c.before {
				t.Errorf("taken back: %q, not %q", got, c.before)
			}
		})
	}
}

// TestOthersKeepTheirs has somebody else change the file before the edit is taken back.
func TestOthersKeepTheirs(t *testing.T) {
	for _, c := range []struct {
		name, before, want string
		edit               edit
		change             func(written string) string
	}{
		{
			name: "lines around a block", before: "a\n", want: "0\na\nz\n", edit: &block{Name: "vpn", Comment: ";", Content: "engine\n"},
			change: func(w string) string { return "0\n" + w + "z\n" },
		},
		{
			name: "a member", before: `{"p":{}}`, want: "{\n  \"p\": {\n    \"theirs\": 1\n  }\n}\n", edit: policy("p.q.ours=x"),
			change: func(w string) string { return strings.Replace(w, `"q"`, `"theirs":1,"q"`, 1) },
		},
		{
			name: "an object that was empty before", before: `{"p":{}}`, want: "{\n  \"p\": {},\n  \"n\": null\n}\n", edit: policy("p.ours=x"),
			change: func(w string) string { return strings.TrimSuffix(w, "}\n") + `,"n":null}` },
		},
		{
			name: "a value that was replaced", before: `{"v":"old"}`, want: "{\n  \"v\": \"old\",\n  \"n\": 1\n}\n", edit: policy("v=new"),
			change: func(w string) string { return strings.TrimSuffix(w, "}\n") + `,"n":1}` },
		},
		{
			name: "an element that was there", before: `{"l":["x"]}`, want: "{\n  \"l\": [\n    \"x\",\n    \"y\"\n  ]\n}\n", edit: policy("l[]=x"),
			change: func(w string) string { return strings.Replace(w, `"x"`, `"x","y"`, 1) },
		},
		{
			name: "a preference", before: "user_pref(\"a.b\", 4);\n", want: "user_pref(\"0\", 0);\nuser_pref(\"a.b\", 4);\nuser_pref(\"z\", 1);\n", edit: &preference{"a.b", "3"},
			change: func(w string) string { return "user_pref(\"0\", 0);\n" + w + "user_pref(\"z\", 1);\n" },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := onDisk(t, c.edit)
			put(t, f.Path, c.before)
			written(t, f)
			put(t, f.Path, c.change(get(t, f.Path)))
			undone(t, f)
			if got := get(t, f.Path); got != c.want {
				t.Errorf("taken back:\n%s\nnot:\n%s", got, c.want)
			}
		})
	}
}

// TestOddFiles are not written to.
func TestOddFiles(t *testing.T) {
	object := policy("p.q=x")
	for name, c := range map[string]struct {
		edit edit
		make func(t *testing.T, path string)
		code problem.Code
	}{
		"no JSON":                 {object, content(`{"p":`), problem.Mismatch},
		"JSON that is no object":  {object, content(`[1]`), problem.Mismatch},
		"two documents":           {object, content(`{} {}`), problem.Mismatch},
		"a member twice":          {object, content(`{"p":{},"p":{}}`), problem.Mismatch},
		"a string for an object":  {object, content(`{"p":"q"}`), problem.Mismatch},
		"an object for a list":    {policy("p[]=x"), content(`{"p":{}}`), problem.Mismatch},
		"a deep document":         {object, content(strings.Repeat(`{"p":`, 100) + "1" + strings.Repeat("}", 100)), problem.Mismatch},
		"a block without its end": {&block{Name: "x", Comment: "#"}, content("# cardctl x: begin\n"), problem.Mismatch},
		"an end without its block": {
			&block{Name: "x", Comment: "#"}, content("# cardctl x: end\n# cardctl x: begin\n"), problem.Mismatch,
		},
		"two blocks":      {&block{Name: "x", Comment: "#"}, content(strings.Repeat("# cardctl x: begin\n# cardctl x: end\n", 2)), problem.Mismatch},
		"a symbolic link": {&whole{"x"}, link, problem.Refused},
		"a directory":     {&whole{"x"}, func(t *testing.T, path string) { check(t, os.MkdirAll(path, 0o700)) }, problem.Mismatch},
		"a huge file": {&whole{"x"}, func(t *testing.T, path string) {
			put(t, path, "")
			check(t, os.Truncate(path, maxFile+1))
		}, problem.Mismatch},
	} {
		t.Run(name, func(t *testing.T) {
			f := onDisk(t, c.edit)
			c.make(t, f.Path)
			before, _ := os.ReadFile(f.Path)
			if _, _, err := f.look(t.Context()); !problem.Is(err, c.code) {
				t.Errorf("look: %v, not %s", err, c.code)
			}
			if err := f.write(t.Context()); !problem.Is(err, c.code) {
				t.Errorf("write: %v, not %s", err, c.code)
			}
			if after, _ := os.ReadFile(f.Path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func link(t *testing.T, path string) {
	check(t, os.MkdirAll(filepath.Dir(path), 0o700))
	check(t, os.Symlink("elsewhere", path))
}

func content(text string) func(*testing.T, string) {
	return func(t *testing.T, path string) { put(t, path, text) }
}

// onDisk is an edit of a file in a directory that is not there yet.
func onDisk(t *testing.T, e edit) *file {
	f := &file{Path: filepath.Join(t.TempDir(), "made", "config"), Mode: 0o600}
	switch e := e.(type) {
	case *whole:
		f.Whole = e
	case *block:
		f.Block = e
	case *members:
		f.Members = e
	case *preference:
		f.Pref = e
	}
	return f
}

func look(t *testing.T, e entry) state {
	is, _, err := e.look(t.Context())
	check(t, err)
	return is
}

func written(t *testing.T, e entry) {
	check(t, e.remember(t.Context()))
	check(t, e.write(t.Context()))
}

func undone(t *testing.T, e entry) { check(t, e.remove(t.Context())) }

func put(t *testing.T, path, text string) {
	check(t, os.MkdirAll(filepath.Dir(path), 0o700))
	check(t, os.WriteFile(path, []byte(text), 0o600))
}

func get(t *testing.T, path string) string {
	data, err := os.ReadFile(path)
	check(t, err)
	return string(data)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
