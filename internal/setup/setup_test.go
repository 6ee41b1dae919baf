package setup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// world is a machine with one target, which writes two files.
type world struct {
	t     *testing.T
	dir   string
	value string
	// refuse is what a person says to a question; asked is how often one came.
	refuse error
	asked  int
	// broken are the entries that cannot be written or taken back any more.
	broken func(e entry) error
	// more is a third file; nothing has no file at all planned.
	more    string
	nothing bool
	// home is the home directory, if it is another one.
	home string
	// holder is a program that may have the files open.
	holder holder
}

func newWorld(t *testing.T) *world { return &world{t: t, dir: t.TempDir(), value: "one"} }

// breaking is an entry before which a run can be broken off.
type breaking struct {
	*file
	w *world
}

func (b breaking) write(ctx context.Context) error {
	if b.w.broken != nil {
		if err := b.w.broken(b.file); err != nil {
			return err
		}
	}
	return b.file.write(ctx)
}

func (w *world) path(name string) string { return filepath.Join(w.dir, "etc", name) }

func (w *world) run(action Action) (Report, error) {
	w.t.Helper()
	confirm := func(context.Context, desk.Question) error {
		w.asked++
		return w.refuse
	}
	j := &job{
		Options: Options{Action: action, Home: cmp.Or(w.home, w.dir), Dir: filepath.Join(w.dir, "state")},
		target: target{name: "vpn", accepts: []Option{"system"}, plan: func(context.Context, *job) (plan, error) {
			if w.nothing {
				return plan{}, nil
			}
			all := []entry{
				breaking{&file{Path: w.path("own"), Mode: 0o644, Whole: &whole{w.value + "\n"}, Holder: w.holder}, w},
				breaking{&file{Path: w.path("shared"), Mode: 0o644, Block: &block{Name: "vpn", Comment: "#", Content: w.value + "\n"}}, w},
			}
			if w.more != "" {
				all = append(all, &file{Path: w.path(w.more), Mode: 0o644, Whole: &whole{w.value}})
			}
			return plan{next: []string{"restart"}, entries: all}, nil
		}, check: func(context.Context, *job) (string, error) { return "it works", nil }},
		access: desk.Access{Confirm: confirm},
	}
	return j.do(w.t.Context())
}

func (w *world) must(action Action) Report {
	w.t.Helper()
	r, err := w.run(action)
	if err != nil {
		w.t.Fatalf("%s: %v", action, err)
	}
	return r
}

func (w *world) fails(action Action, code problem.Code) Report {
	w.t.Helper()
	r, err := w.run(action)
	if !problem.Is(err, code) {
		w.t.Fatalf("%s: %v, not %s", action, err, code)
	}
	return r
}

func (w *world) has(name, want string) {
	w.t.Helper()
	data, err := os.ReadFile(w.path(name))
	if want == "" && os.IsNotExist(err) {
		return
	}
	if string(data) != want {
		w.t.Errorf("%s has %q, not %q (%v)", name, data, want, err)
	}
}

func blockOf(value string) string { return "# cardctl vpn: begin\n" + value + "\n# cardctl vpn: end\n" }

func TestWriteCheckUndo(t *testing.T) {
	w := newWorld(t)
	put(t, w.path("shared"), "theirs")
	w.fails(Check, problem.NotFound)
	w.fails(Undo, problem.NotFound)
	if r := w.must(Print); len(r.Changes) != 2 || r.Changes[0].Content != "one\n" || r.Next[0] != "restart" {
		t.Errorf("printed %+v", r)
	}
	w.has("own", "")
	for range 2 {
		w.must(Write)
		w.has("own", "one\n")
		w.has("shared", "theirs\n"+blockOf("one"))
	}
	if r := w.must(Check); r.Seen != "it works" {
		t.Errorf("checked %+v", r)
	}
	w.value = "two"
	w.fails(Check, problem.Mismatch)
	w.must(Write)
	w.has("own", "two\n")
	w.has("shared", "theirs\n"+blockOf("two"))
	if w.asked > 0 {
		t.Error("asked before its own entries were replaced")
	}
	w.must(Undo)
	w.has("own", "")
	w.has("shared", "theirs")
	if left, _ := os.ReadDir(filepath.Join(w.dir, "state")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestWhatOthersWroteIsShown asks before something foreign is replaced or removed, and
// does nothing if the answer is no.
func TestWhatOthersWroteIsShown(t *testing.T) {
	w := newWorld(t)
	w.refuse = problem.New(problem.Refused, "not confirmed")
	put(t, w.path("own"), "theirs\n")
	if r := w.fails(Write, problem.Refused); r.Changes[0].Difference != "- one\n+ theirs\n" {
		t.Errorf("difference %q", r.Changes[0].Difference)
	}
	w.has("own", "theirs\n")
	w.has("shared", "")
	w.refuse = nil
	w.must(Write)
	w.has("own", "one\n")
	w.must(Undo)
	w.has("own", "theirs\n")

	w.must(Write)
	put(t, w.path("shared"), strings.Replace(blockOf("one"), "one", "changed", 1))
	w.refuse = problem.New(problem.Refused, "not confirmed")
	if r := w.fails(Undo, problem.Refused); r.Changes[0].Was != Foreign {
		t.Errorf("changes %+v", r.Changes)
	}
	w.has("own", "one\n")
	w.refuse = nil
	w.must(Undo)
	w.has("own", "theirs\n")
	w.has("shared", "")
}

// TestWhatWasThereStays does not take back what somebody else had written already.
func TestWhatWasThereStays(t *testing.T) {
	w := newWorld(t)
	put(t, w.path("own"), "one\n")
	w.must(Write)
	w.must(Undo)
	w.has("own", "one\n")
	w.has("shared", "")
}

// TestBrokenOff breaks a run off before each file. The same command completes it, and
// Undo takes it back.
func TestBrokenOff(t *testing.T) {
	for _, at := range []string{"own", "shared"} {
		for _, then := range []Action{Write, Undo} {
			t.Run(fmt.Sprint(at, then), func(t *testing.T) {
				w := newWorld(t)
				put(t, w.path("own"), "theirs\n")
				w.broken = func(e entry) error {
					if strings.HasSuffix(e.place(), at) {
						return errors.New("killed")
					}
					return nil
				}
				if _, err := w.run(Write); err == nil {
					t.Fatal("not broken off")
				}
				w.broken = nil
				if at == "own" && then == Undo { // nothing was written
					w.fails(Undo, problem.NotFound)
				} else {
					w.must(then)
				}
				if then == Write {
					w.has("own", "one\n")
					w.has("shared", blockOf("one"))
					w.must(Undo)
				}
				w.has("own", "theirs\n")
				w.has("shared", "")
			})
		}
	}
}

// TestUndoneTwice has Undo broken off before it forgets what it took back.
func TestUndoneTwice(t *testing.T) {
	w := newWorld(t)
	put(t, w.path("own"), "theirs\n")
	w.must(Write)
	records, err := filepath.Glob(filepath.Join(w.dir, "state", "*"))
	check(t, err)
	record := get(t, records[0])
	w.must(Undo)
	put(t, records[0], record)
	w.asked = 0
	w.must(Undo)
	w.has("own", "theirs\n")
	if w.asked > 0 {
		t.Error("asked about what was taken back before")
	}
}
