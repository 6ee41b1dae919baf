//go:build unix

package terminal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/cardctl/cardctl/internal/problem"
)

// desk is a person's side of a terminal.
type desk struct {
	t      *testing.T
	master *os.File
	tty    *os.File

	mu   sync.Mutex
	seen bytes.Buffer
}

func newDesk(t *testing.T) *desk {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, master: master, tty: tty}
	t.Cleanup(func() { _ = tty.Close(); _ = master.Close() })
	go d.watch()
	return d
}

func (d *desk) watch() {
	b := make([]byte, 1024)
	for {
		n, err := d.master.Read(b)
		d.mu.Lock()
		d.seen.Write(b[:n])
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// meanwhile lets the person act beside the test, which ends after it.
func (d *desk) meanwhile(act func()) {
	done := make(chan struct{})
	go func() { defer close(done); act() }()
	d.t.Cleanup(func() { <-done })
}

func (d *desk) screen() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen.String()
}

// expect waits until text was shown.
func (d *desk) expect(text string) {
	d.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if strings.Contains(d.screen(), text) {
			return
		}
	}
	d.t.Fatalf("%q is not on the screen:\n%q", text, d.screen())
}

func (d *desk) press(keys string) {
	d.t.Helper()
	if _, err := d.master.WriteString(keys); err != nil {
		d.t.Fatal(err)
	}
}

// terminal opens the pty anew, as /dev/tty is.
func (d *desk) terminal(plain bool) *Terminal {
	t := New(Options{Plain: plain, Open: func() (in, out *os.File, err error) {
		f, err := os.OpenFile(d.tty.Name(), os.O_RDWR, 0)
		return f, f, err
	}})
	d.t.Cleanup(func() { _ = t.Close() })
	return t
}

// state is the terminal's mode, to be compared.
func (d *desk) state() *term.State {
	d.t.Helper()
	s, err := term.GetState(int(d.tty.Fd()))
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *desk) sameState(before *term.State) {
	d.t.Helper()
	if after := d.state(); *after != *before {
		d.t.Errorf("terminal left in another mode:\n%v\n%v", before, after)
	}
}

func TestReadSecret(t *testing.T) {
	tests := []struct {
		name, keys, want string
		code             problem.Code
	}{
		{name: "line", keys: "123456\r", want: "123456"},
		{name: "empty", keys: "\r", want: ""},
		{name: "backspace", keys: "12x\x7f34\b5\r", want: "1235"},
		{name: "backspace takes a whole character", keys: "aü\x7fb\r", want: "ab"},
		{name: "backspace on nothing", keys: "\x7f1\r", want: "1"},
		{name: "kill", keys: "wrong\x15right\r", want: "right"},
		{name: "cursor keys", keys: "1\x1b[A2\x1b[1;5C3\x1bOP4\r", want: "1234"},
		{name: "interrupt", keys: "12\x03", code: problem.Interrupted},
		{name: "end of input", keys: "\x04", code: problem.Interrupted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			before := d.state()
			d.meanwhile(func() { d.expect("PIN: "); d.press(test.keys) })
			s, err := d.terminal(false).ReadSecret(t.Context(), "PIN: ")
			defer s.Wipe()
			if test.code != "" {
				if !problem.Is(err, test.code) {
					t.Fatalf("error %v, want %s", err, test.code)
				}
			} else if err != nil || string(s.Reveal()) != test.want {
				t.Fatalf("%q, %v; want %q", s.Reveal(), err, test.want)
			}
			d.sameState(before)
			if got := strings.TrimSpace(d.screen()); got != "PIN:" {
				t.Errorf("the screen shows %q", got)
			}
		})
	}
}

func TestReadSecretTooLong(t *testing.T) {
	d := newDesk(t)
	d.meanwhile(func() {
		d.expect("PIN: ")
		for range 5 {
			d.press(strings.Repeat("1", 1000))
		}
		d.press("\r")
	})
	if _, err := d.terminal(false).ReadSecret(t.Context(), "PIN: "); !problem.Is(err, problem.Usage) {
		t.Fatalf("error %v, want usage", err)
	}
}

func TestReadSecretCanceled(t *testing.T) {
	d := newDesk(t)
	terminal := d.terminal(false)
	before := d.state()
	ctx, cancel := context.WithCancel(t.Context())
	d.meanwhile(func() { d.expect("first: "); cancel() })
	if _, err := terminal.ReadSecret(ctx, "first: "); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want canceled", err)
	}
	d.sameState(before)

	// The read that was given up takes no key of the next question.
	d.meanwhile(func() { d.expect("second: "); d.press("654321\r") })
	s, err := terminal.ReadSecret(t.Context(), "second: ")
	if err != nil || string(s.Reveal()) != "654321" {
		t.Fatalf("%q, %v", s.Reveal(), err)
	}
}

func TestConfirm(t *testing.T) {
	const both, moving, plain = "", "moving", "plain"
	tests := []struct {
		name, keys string
		on         string
		want       bool
		code       problem.Code
	}{
		{name: "y", keys: "y\r", want: true},
		{name: "Yes", keys: "Yes\r", want: true},
		{name: "n", keys: "n\r"},
		{name: "enter", keys: "\r"},
		{name: "another word first", keys: "maybe\r\x7f\x7f\x7f\x7f\x7fyes\r", on: plain, want: true},
		{name: "another word", keys: "maybe\r", on: moving},
		{name: "a word that is mended", keys: "yx\x7f\r", on: moving, want: true},
		{name: "a word that is taken back", keys: "yes\x15\r", on: moving},
		{name: "cursor down", keys: "\x1b[B\r", on: moving, want: true},
		{name: "cursor down and up", keys: "\x1b[B\x1b[A\r", on: moving},
		{name: "cursor keys after a word", keys: "y\x1b[A\r", on: moving},
		{name: "interrupt", keys: "\x03", code: problem.Interrupted},
		{name: "end of input", keys: "\x04", code: problem.Interrupted},
	}
	for _, test := range tests {
		for _, on := range []string{moving, plain} {
			if test.on != both && test.on != on {
				continue
			}
			t.Run(test.name+" "+on, func(t *testing.T) {
				d := newDesk(t)
				before := d.state()
				d.meanwhile(func() { d.expect("[y/N]: "); d.press(test.keys) })
				got, err := d.terminal(on == plain).Confirm(t.Context(), "A card.\nErase it?")
				switch {
				case test.code != "" && !problem.Is(err, test.code):
					t.Errorf("error %v, want %s", err, test.code)
				case test.code == "" && (err != nil || got != test.want):
					t.Errorf("%v, %v; want %v", got, err, test.want)
				}
				d.sameState(before)
				if !strings.HasPrefix(d.screen(), "A card.\r\nErase it?") {
					t.Errorf("the screen shows %q", d.screen())
				}
				if strings.Contains(d.screen(), "\a") {
					t.Error("the bell rang")
				}
				if on == plain && strings.Contains(d.screen(), "\x1b") {
					t.Errorf("escape sequences on the screen: %q", d.screen())
				}
			})
		}
	}
}

func TestCanceled(t *testing.T) {
	questions := map[string]func(context.Context, *Terminal) error{
		"confirm": func(ctx context.Context, t *Terminal) error { _, err := t.Confirm(ctx, "Question"); return err },
		"choose": func(ctx context.Context, t *Terminal) error {
			_, err := t.Choose(ctx, "Question", []string{"A", "B"})
			return err
		},
	}
	for name, question := range questions {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s plain=%v", name, plain), func(t *testing.T) {
				d := newDesk(t)
				before := d.state()
				ctx, cancel := context.WithCancel(t.Context())
				d.meanwhile(func() { d.expect("Question"); cancel() })
				if err := question(ctx, d.terminal(plain)); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				d.sameState(before)
			})
		}
	}
}

// Questions after each other get the answers that were typed ahead for them.
func TestTypedAhead(t *testing.T) {
	d := newDesk(t)
	terminal := d.terminal(false)
	d.meanwhile(func() { d.expect("[y/N]: "); d.press("y\r123456\r") })
	if ok, err := terminal.Confirm(t.Context(), "Erase it?"); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	s, err := terminal.ReadSecret(t.Context(), "PIN: ")
	if err != nil || string(s.Reveal()) != "123456" {
		t.Fatalf("%q, %v", s.Reveal(), err)
	}
}

func TestChoose(t *testing.T) {
	tests := []struct {
		name, keys string
		plain      bool
		want       int
	}{
		{name: "first", keys: "\r", want: 0},
		{name: "third", keys: "\x1b[B\x1b[B\r", want: 2},
		{name: "interrupt", keys: "\x1b[B\x03", want: -1},
		{name: "number", keys: "2\r", plain: true, want: 1},
		{name: "number after a wrong one", keys: "7\r3\r", plain: true, want: 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			before := d.state()
			d.meanwhile(func() { d.expect("Which"); d.expect("sim:c"); d.press(test.keys) })
			got, err := d.terminal(test.plain).Choose(t.Context(), "Which reader?", []string{"A", "B", "sim:c"})
			if got != test.want || (test.want >= 0) != (err == nil) || err != nil && !problem.Is(err, problem.Interrupted) {
				t.Errorf("%d, %v; want %d", got, err, test.want)
			}
			d.sameState(before)
		})
	}
}

func TestChooseCutsLongItems(t *testing.T) {
	d := newDesk(t)
	if err := pty.Setsize(d.tty, &pty.Winsize{Cols: 20, Rows: 24}); err != nil {
		t.Fatal(err)
	}
	d.meanwhile(func() { d.expect("[1-1]: "); d.press("1\r") })
	if _, err := d.terminal(true).Choose(t.Context(), "Which?", []string{"a reader with a very long name"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(d.screen(), "  1  a reader with a…\r\n") {
		t.Errorf("the screen shows %q", d.screen())
	}
}

func TestNoTerminal(t *testing.T) {
	terminal := New(Options{Open: func() (in, out *os.File, err error) { return nil, nil, os.ErrNotExist }})
	if terminal.Available() {
		t.Error("available")
	}
	if _, err := terminal.ReadSecret(t.Context(), "PIN: "); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("ReadSecret: %v", err)
	}
	if _, err := terminal.Confirm(t.Context(), "?"); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("Confirm: %v", err)
	}
	if err := terminal.Show("text"); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("Show: %v", err)
	}
	if err := terminal.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// A file that is not a terminal cannot hide what is typed.
func TestNotATerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	terminal := New(Options{Open: func() (in, out *os.File, err error) { return f, f, nil }})
	if _, err := terminal.ReadSecret(t.Context(), "PIN: "); !errors.Is(err, ErrNoTerminal) {
		t.Errorf("ReadSecret: %v", err)
	}
	if IsTerminal(f) || IsTerminal(nil) {
		t.Error("IsTerminal")
	}
}

func TestIsTerminal(t *testing.T) {
	d := newDesk(t)
	if !IsTerminal(d.tty) {
		t.Error("a pty is no terminal")
	}
	if err := pty.Setsize(d.tty, &pty.Winsize{Cols: 123, Rows: 4}); err != nil {
		t.Fatal(err)
	}
	if w := Width(d.tty); w != 123 {
		t.Errorf("width %d", w)
	}
}

func TestPlain(t *testing.T) {
	for _, test := range []struct {
		env  []string
		want bool
	}{
		{nil, false},
		{[]string{"TERM=xterm", "NO_COLOR="}, false},
		{[]string{"NO_COLOR=1"}, true},
		{[]string{"TERM=dumb"}, true},
	} {
		if got := Plain(test.env); got != test.want {
			t.Errorf("Plain(%q) = %v", test.env, got)
		}
	}
}

const roleVariable = "TERMINAL_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	s, err := New(Options{}).ReadSecret(context.Background(), "PIN: ")
	if err != nil {
		os.Exit(1)
	}
	if _, err := os.Stdout.Write(s.Reveal()); err != nil {
		os.Exit(1)
	}
}

// The terminal of the process is asked while its standard streams are pipes.
func TestTerminalOfTheProcess(t *testing.T) {
	d := newDesk(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=1")
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = strings.NewReader("not this\n"), &out
	cmd.ExtraFiles = []*os.File{d.tty}
	cmd.SysProcAttr = controllingTerminal(3)
	d.meanwhile(func() { d.expect("PIN: "); d.press("123456\r") })
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if out.String() != "123456" {
		t.Errorf("read %q", out.String())
	}
}

// What a card is called moves no cursor and hides nothing, however it is asked.
func TestNothingOfACardControlsTheTerminal(t *testing.T) {
	const label, shown = "card\x1b[2J\u009b1A\u202e\u200b\u2028\r\x07", `card\x1b[2J\u009b1A\u202e\u200b\u2028\r\a`
	for name, test := range map[string]struct {
		keys string
		ask  func(*Terminal) error
	}{
		"a PIN": {"1\r", func(t *Terminal) error {
			_, err := t.ReadSecret(context.Background(), "PIN of "+label+": ")
			return err
		}},
		"a choice": {"1\r", func(t *Terminal) error {
			_, err := t.Choose(context.Background(), "Of\n"+label+"?", []string{label, "b"})
			return err
		}},
		"an answer": {"y\r", func(t *Terminal) error { _, err := t.Confirm(context.Background(), "Erase\n"+label+"?"); return err }},
		"a line":    {"", func(t *Terminal) error { return t.Show("see\n" + label) }},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.meanwhile(func() { d.expect("card"); d.press(test.keys) })
			if err := test.ask(d.terminal(true)); err != nil {
				t.Fatal(err)
			}
			d.expect("\n") // the end of the line, behind what is shown
			if !strings.Contains(d.screen(), shown) {
				t.Errorf("no %q on the screen: %q", shown, d.screen())
			}
			for _, raw := range []string{"\x1b[2J", "\u009b", "\u202e", "\u200b", "\u2028", "\x07"} {
				if strings.Contains(d.screen(), raw) {
					t.Errorf("%q is on the screen: %q", raw, d.screen())
				}
			}
		})
	}
}
