package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// fakeTerminal is a person who types the answers in turn.
type fakeTerminal struct {
	absent  bool
	answers []string
	err     error
	shown   []string
}

func (f *fakeTerminal) Available() bool { return !f.absent }

func (f *fakeTerminal) ReadSecret(_ context.Context, prompt string) (*Bytes, error) {
	f.shown = append(f.shown, prompt)
	if len(f.answers) == 0 {
		return nil, f.err
	}
	answer := f.answers[0]
	f.answers = f.answers[1:]
	return New([]byte(answer)), nil
}

func (f *fakeTerminal) Show(line string) error {
	f.shown = append(f.shown, line)
	return nil
}

// sources are what --NAME says for each name.
func sources(t *testing.T, pairs ...string) map[Name]Source {
	t.Helper()
	m := map[Name]Source{}
	for i := 0; i < len(pairs); i += 2 {
		s, err := ParseSource(pairs[i+1])
		if err != nil {
			t.Fatal(err)
		}
		m[Name(pairs[i])] = s
	}
	return m
}

func TestAskOrder(t *testing.T) {
	tests := []struct {
		name     string
		flag     string
		env      []string
		terminal *fakeTerminal
		noInput  bool
		optional bool
		want     string // "" for none
		code     problem.Code
	}{
		{name: "flag", flag: "env:MINE", env: []string{"MINE=1", "CARDCTL_PIN=2"}, want: "1"},
		{name: "environment", env: []string{"CARDCTL_PIN=2"}, terminal: &fakeTerminal{answers: []string{"3"}}, want: "2"},
		{name: "last entry counts", env: []string{"CARDCTL_PIN=1", "CARDCTL_PIN=2"}, want: "2"},
		{name: "empty variable is none", env: []string{"CARDCTL_PIN="}, terminal: &fakeTerminal{answers: []string{"3"}}, want: "3"},
		{name: "terminal", terminal: &fakeTerminal{answers: []string{"3"}}, want: "3"},
		{name: "prompt before environment", flag: "prompt", env: []string{"CARDCTL_PIN=2"},
			terminal: &fakeTerminal{answers: []string{"3"}}, want: "3"},
		{name: "nobody", code: problem.Usage},
		{name: "no terminal", terminal: &fakeTerminal{absent: true}, code: problem.Usage},
		{name: "no input", terminal: &fakeTerminal{answers: []string{"3"}}, noInput: true, code: problem.Usage},
		{name: "prompt forbidden", flag: "prompt", terminal: &fakeTerminal{answers: []string{"3"}}, noInput: true, code: problem.Usage},
		{name: "pinentry forbidden", flag: "pinentry", noInput: true, code: problem.Usage},
		{name: "optional and absent", optional: true, terminal: &fakeTerminal{answers: []string{"3"}}},
		{name: "optional and there", optional: true, env: []string{"CARDCTL_PIN=2"}, want: "2"},
		{name: "variable not set", flag: "env:MINE", env: []string{"CARDCTL_PIN=2"}, code: problem.Usage},
		{name: "variable empty", flag: "env:MINE", env: []string{"MINE="}, code: problem.Usage},
		{name: "variable too long", flag: "env:MINE", env: []string{"MINE=" + strings.Repeat("1", MaxLength+1)}, code: problem.Usage},
		{name: "variable with a line end", flag: "env:MINE", env: []string{"MINE=1\n"}, want: "1"},
		{name: "variable with two lines", flag: "env:MINE", env: []string{"MINE=1\n2"}, code: problem.Usage},
		{name: "variable with quotes", env: []string{"CARDCTL_PIN='1'"}, code: problem.Usage},
		{name: "typed with a blank", terminal: &fakeTerminal{answers: []string{"1 "}}, code: problem.Usage},
		{name: "typed nothing", terminal: &fakeTerminal{answers: []string{""}}, code: problem.Usage},
		{name: "interrupted", terminal: &fakeTerminal{err: problem.New(problem.Interrupted, "interrupted")}, code: problem.Interrupted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &Resolver{Env: test.env, NoInput: test.noInput}
			if test.flag != "" {
				r.Sources = sources(t, "pin", test.flag)
			}
			if test.terminal != nil {
				r.Terminal = test.terminal
			}
			s, err := r.Ask(t.Context(), Request{Name: PIN, Label: "user PIN", Optional: test.optional})
			if test.code != "" {
				if test.code == problem.Interrupted && err.Error() != "interrupted" {
					t.Errorf("%v", err)
				}
				if !problem.Is(err, test.code) || s != nil {
					t.Errorf("%q, %v; want %s", s.Reveal(), err, test.code)
				}
				return
			}
			if err != nil || string(s.Reveal()) != test.want || (s == nil) != (test.want == "") {
				t.Errorf("%q, %v; want %q", s.Reveal(), err, test.want)
			}
		})
	}
}

// Who waits is told before a person is asked or a program is run, and only then;
// where that fails, nobody is asked.
func TestAskWaiting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(file, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the card is gone")
	for flag, waits := range map[string]bool{
		"prompt": true, "": true, "command:echo 1": true, "pinentry": true,
		"env:MINE": false, "file:" + file: false, "stdin": false, "fd:0": false,
	} {
		terminal := &fakeTerminal{answers: []string{"1"}}
		r := &Resolver{Env: []string{"MINE=1", "PATH=" + os.Getenv("PATH")}, Stdin: strings.NewReader("1"), Terminal: terminal, Pinentry: "no-such-pinentry"}
		if flag != "" {
			r.Sources = sources(t, "pin", flag)
		}
		calls := 0
		s, err := r.Ask(t.Context(), Request{Name: PIN, Waiting: func() error {
			calls++
			if len(terminal.shown) > 0 {
				t.Errorf("%s: a person was asked first", flag)
			}
			return gone
		}})
		if waits && (calls != 1 || err != gone || s != nil || len(terminal.shown) > 0) {
			t.Errorf("%s: %d calls, %q, %v, shown %q", flag, calls, s.Reveal(), err, terminal.shown)
		}
		if !waits && (calls != 0 || err != nil) {
			t.Errorf("%s: %d calls, %v", flag, calls, err)
		}
	}
}

func TestAskSaysWhatToType(t *testing.T) {
	r := &Resolver{}
	_, err := r.Ask(t.Context(), Request{Name: AdminPIN, Label: "admin PIN of card 1"})
	var p *problem.Error
	if !errors.As(err, &p) {
		t.Fatal(err)
	}
	if p.What != "admin PIN of card 1 was not given" || !strings.Contains(p.Why, "CARDCTL_ADMIN_PIN") ||
		!reflect.DeepEqual(p.Next, advice.Repeat(advice.Ask(AdminPIN))) {
		t.Errorf("%+v", p)
	}
}

func TestPromptText(t *testing.T) {
	terminal := &fakeTerminal{answers: []string{"1"}}
	r := &Resolver{Terminal: terminal}
	if _, err := r.Ask(t.Context(), Request{Name: PIN, Label: "user PIN", Note: "3 tries left"}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"user PIN (3 tries left): "}; !slices.Equal(terminal.shown, want) {
		t.Errorf("shown %q", terminal.shown)
	}
}

func TestPromptNew(t *testing.T) {
	tests := []struct {
		name    string
		answers []string
		want    string
		shown   int
	}{
		{"same", []string{"1", "1"}, "1", 2},
		{"second time", []string{"1", "2", "3", "3"}, "3", 5},
		{"third time", []string{"1", "2", "1", "2", "3", "3"}, "3", 8},
		{"never", []string{"1", "2", "1", "2", "1", "2", "3", "3"}, "", 8},
		{"empty is not repeated", []string{""}, "", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			terminal := &fakeTerminal{answers: test.answers}
			r := &Resolver{Terminal: terminal}
			s, err := r.Ask(t.Context(), Request{Name: NewPIN, Label: "new PIN", New: true})
			if string(s.Reveal()) != test.want || (err == nil) != (test.want != "") || err != nil && !problem.Is(err, problem.Usage) {
				t.Errorf("%q, %v", s.Reveal(), err)
			}
			if len(terminal.shown) != test.shown {
				t.Errorf("shown %q", terminal.shown)
			}
		})
	}
}

// Several secrets come from stdin line by line, and what follows stays there.
func TestStdin(t *testing.T) {
	stdin := strings.NewReader("111\r\n222\n\nrest\n")
	r := &Resolver{Stdin: stdin, Sources: sources(t, "pin", "stdin", "admin-pin", "fd:0", "new-pin", "stdin")}
	for _, test := range []struct {
		name Name
		want string
	}{{AdminPIN, "111"}, {PIN, "222"}} {
		s, err := r.Ask(t.Context(), Request{Name: test.name})
		if err != nil || string(s.Reveal()) != test.want {
			t.Errorf("%s: %q, %v", test.name, s.Reveal(), err)
		}
	}
	if _, err := r.Ask(t.Context(), Request{Name: NewPIN}); !problem.Is(err, problem.Usage) {
		t.Errorf("empty line: %v", err)
	}
	if rest, _ := io.ReadAll(stdin); string(rest) != "rest\n" {
		t.Errorf("rest %q", rest)
	}
	if _, err := r.Ask(t.Context(), Request{Name: PIN}); !problem.Is(err, problem.Usage) {
		t.Errorf("end: %v", err)
	}
}

func TestStdinLimits(t *testing.T) {
	most := strings.Repeat("x", MaxLength)
	for input, ok := range map[string]bool{most: true, most + "\n": true, most + "\r\n": true, most + "x": false, most + "x\n": false, most + most: false} {
		r := &Resolver{Stdin: strings.NewReader(input), Sources: sources(t, "pin", "stdin")}
		s, err := r.Ask(t.Context(), Request{Name: PIN})
		if ok && (err != nil || string(s.Reveal()) != most) || !ok && !problem.Is(err, problem.Usage) {
			t.Errorf("%d bytes: %d, %v", len(input), s.Len(), err)
		}
	}
}

// The rule is the same for every source, and an error repeats nothing of it.
func TestAskRefusesWhatCannotHaveBeenMeant(t *testing.T) {
	for name, text := range unmeantSecrets {
		path := filepath.Join(t.TempDir(), "pin")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		environ := []string{"PATH=" + os.Getenv("PATH")}
		if !strings.Contains(text, "\x00") {
			environ = append(environ, "MINE="+text)
		}
		for _, source := range []string{"env:MINE", "file:" + path, "command:cat " + path, "prompt"} {
			r := &Resolver{Env: environ, Sources: sources(t, "pin", source), Terminal: &fakeTerminal{answers: []string{text}}}
			s, err := r.Ask(t.Context(), Request{Name: PIN, Label: "user PIN"})
			if !problem.Is(err, problem.Usage) || s != nil || strings.Contains(err.Error(), "648") {
				t.Errorf("%s by %s: %q, %v", name, source, s.Reveal(), err)
			}
		}
	}
}

// What a source names may be the secret itself.
func TestAskRepeatsNoArgument(t *testing.T) {
	for _, source := range []string{"env:a777312", "file:777312", "fd:7773", "command:777312", "command:exit 7773"} {
		r := &Resolver{Env: os.Environ(), Sources: sources(t, "pin", source)}
		_, err := r.Ask(t.Context(), Request{Name: PIN, Label: "user PIN"})
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.Usage || strings.Contains(fmt.Sprint(p.What, p.Why, p.Next), "7773") || !reflect.DeepEqual(p.Next, advice.Repeat(advice.Ask(PIN))) {
			t.Errorf("%s: %+v", source, p)
		}
	}
}

func TestStdinClosed(t *testing.T) {
	r := &Resolver{Sources: sources(t, "pin", "stdin")}
	if _, err := r.Ask(t.Context(), Request{Name: PIN}); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

// A source that does not answer is given up when the context ends.
func TestAskCanceled(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	resolver := &Resolver{Stdin: r, Sources: sources(t, "pin", "stdin")}
	if _, err := resolver.Ask(ctx, Request{Name: PIN}); err != context.Canceled {
		t.Error(err)
	}
	if _, err := (&Resolver{Env: []string{"CARDCTL_PIN=1"}}).Ask(ctx, Request{Name: PIN}); err != context.Canceled {
		t.Errorf("after the end: %v", err)
	}
}

func TestFilterEnv(t *testing.T) {
	env := []string{"PATH=/bin", "CARDCTL_PIN=1", "CARDCTL_NEW_PIN=2", "CARDCTL_MANAGEMENT_KEY=3", "CARDCTL_NEWPIN=6", "CARDCTL_READER=0", "MINE=4", "MINE2=5", "odd"}
	got := FilterEnv(env, Source{kind: kindEnv, argument: "MINE"}, Source{kind: kindFile, argument: "MINE2"})
	if want := []string{"PATH=/bin", "CARDCTL_READER=0", "MINE2=5", "odd"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if env[1] != "CARDCTL_PIN=1" {
		t.Error("the original was changed")
	}
}

func TestVariable(t *testing.T) {
	if v := CurrentAdminPIN.Variable(); v != "CARDCTL_CURRENT_ADMIN_PIN" {
		t.Error(v)
	}
}
