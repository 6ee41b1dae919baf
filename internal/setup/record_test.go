package setup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// record is the only record of what was written.
func (w *world) record() string {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "state", "*"))
	if err != nil || len(found) != 1 {
		w.t.Fatalf("records: %v, %v", found, err)
	}
	return found[0]
}

// TestNothingGoesBeforeQuestions keeps what was set up if what is to take its place is
// not confirmed.
func TestNothingGoesBeforeQuestions(t *testing.T) {
	w := newWorld(t)
	w.must(Write)
	put(t, w.path("more"), "theirs")
	w.value, w.more, w.refuse = "two", "more", problem.New(problem.Refused, "not confirmed")
	w.fails(Write, problem.Refused)
	w.has("own", "one\n")
	w.has("shared", blockOf("one"))
	w.refuse, w.asked = nil, 0
	w.must(Write)
	w.has("own", "two\n")
	w.has("more", "two")
	if w.asked != 1 {
		t.Errorf("asked %d times", w.asked)
	}
	w.must(Undo)
	w.has("own", "")
	w.has("more", "theirs")
}

// TestNothingLeftToWrite forgets a setup of which nothing is needed any more.
func TestNothingLeftToWrite(t *testing.T) {
	w := newWorld(t)
	w.must(Write)
	w.nothing = true
	w.must(Write)
	w.has("own", "")
	w.fails(Undo, problem.NotFound)
}

// TestRecordsOfOthers takes back nothing that a record says which others can write.
func TestRecordsOfOthers(t *testing.T) {
	for name, give := range map[string]func(path string) error{
		"writable": func(path string) error { return os.Chmod(path, 0o666) },
		"a link": func(path string) error {
			if err := os.Rename(path, path+".old"); err != nil {
				return err
			}
			return os.Symlink(path+".old", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must(Write)
			check(t, give(w.record()))
			w.fails(Undo, problem.Refused)
			w.fails(Write, problem.Refused)
			w.has("own", "one\n")
		})
	}
}

// TestDamagedRecords takes back nothing by half, and follows its own advice.
func TestDamagedRecords(t *testing.T) {
	const head = `{"target":"vpn","scope":"home /x","entries":[`
	for name, content := range map[string]string{
		"empty": "", "a null": "null", "no target": "{}", "cut off": head, "more behind it": head + "]}{",
		"an entry that is null": head + "null]}", "an unknown kind": head + `{"kind":"x","entry":{}}]}`,
		"nothing of an entry": head + `{"kind":"file"}]}`, "no edit": head + `{"kind":"file","entry":{"path":"/x"}}]}`,
		"a relative path":          head + `{"kind":"file","entry":{"path":"x","whole":{"content":""}}}]}`,
		"a member without a name":  head + `{"kind":"file","entry":{"path":"/x","members":{"members":[{}]}}}]}`,
		"an edit of later version": head + `{"kind":"file","entry":{"path":"/x","whole":{"content":""},"other":{}}}]}`,
		"no database":              head + `{"kind":"nss-database","entry":{}}]}`,
		"a module of no database":  head + `{"kind":"nss-module","entry":{"dir":"x","name":"a","library":"b"}}]}`,
		"a CA of no database":      head + `{"kind":"nss-authority","entry":{"name":"a","der":"MAA="}}]}`,
		"a certificate of nobody":  head + `{"kind":"keybox-certificate","entry":{"der":"MAA="}}]}`,
		"a key of nobody":          head + `{"kind":"adopted-key","entry":{"fingerprints":["A"]}}]}`,
		"a PIN of nobody":          head + `{"kind":"pin","entry":{"path":"/x"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must(Write)
			path := w.record()
			put(t, path, content)
			w.fails(Undo, problem.Mismatch)
			w.fails(Write, problem.Mismatch)
			w.has("own", "one\n")
			check(t, os.Rename(path, path+".old"))
			w.fails(Undo, problem.NotFound)
		})
	}
}

// TestTwoAtOnce has only one of two runs change configurations.
func TestTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	unlock, err := lock(filepath.Join(w.dir, "state"))
	check(t, err)
	w.fails(Write, problem.Failed)
	w.has("own", "")
	unlock()
	w.must(Write)
	unlock, err = lock(filepath.Join(w.dir, "state"))
	check(t, err)
	w.fails(Undo, problem.Failed)
	w.has("own", "one\n")
	w.must(Check)
	unlock()
	w.must(Undo)
}

// TestOddHomes writes nothing below a home directory that has no certain place.
func TestOddHomes(t *testing.T) {
	for _, home := range []string{"relative", "/with\na line", "/not UTF-8 \xff"} {
		w := newWorld(t)
		w.home = home
		w.fails(Write, problem.Usage)
		w.fails(Print, problem.Usage)
		w.fails(Check, problem.Usage)
		w.fails(Undo, problem.NotFound)
		w.has("own", "")
	}
}

// TestIndentedBlocks takes back a block that an editor moved, instead of forgetting it.
func TestIndentedBlocks(t *testing.T) {
	w := newWorld(t)
	w.must(Write)
	put(t, w.path("shared"), "a\n"+strings.ReplaceAll(blockOf("one"), "# cardctl", "  # cardctl")+"b\n")
	w.must(Undo)
	w.has("shared", "a\nb\n")
	if w.asked != 1 {
		t.Errorf("asked %d times", w.asked)
	}
}

// TestNothingWritten forgets a setup of which nothing could be written.
func TestNothingWritten(t *testing.T) {
	w := newWorld(t)
	w.broken = func(entry) error { return errors.New("full") }
	if _, err := w.run(Write); err == nil {
		t.Fatal("written")
	}
	w.fails(Undo, problem.NotFound)
}

// TestKilled takes back what a run left that was killed while it wrote a file.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.must(Write)
	put(t, w.path(".own.ABCDEFGHIJKLMNOPQRSTUVW234"), "o")
	put(t, w.path(".own.of somebody else"), "o")
	check(t, os.Remove(w.path("shared")))
	w.must(Undo)
	left, err := os.ReadDir(w.path(""))
	if err != nil || len(left) != 1 || left[0].Name() != ".own.of somebody else" {
		t.Errorf("left: %v, %v", left, err)
	}
	check(t, os.RemoveAll(w.path("")))
	w.must(Write)
	check(t, os.Remove(w.path("own")))
	check(t, os.Remove(w.path("shared")))
	w.must(Undo)
	if _, err := os.Stat(w.path("")); err == nil {
		t.Error("the directory that was made is still there")
	}
}
