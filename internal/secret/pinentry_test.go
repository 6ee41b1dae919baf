package secret

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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

const (
	roleVariable = "SECRET_TEST_ROLE"
	logVariable  = "SECRET_TEST_LOG"
)

// A test binary with a role is a pinentry.
func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	os.Exit(pinentry(role))
}

// pinentry is the program's end of the dialogue. It writes what it was told to
// a file.
func pinentry(role string) int {
	log, err := os.Create(os.Getenv(logVariable))
	if err != nil {
		return 2
	}
	defer log.Close()
	if role == "garbage" {
		fmt.Println("Content-Type: text/html")
		return 1
	}
	fmt.Println("OK Pleased to meet you")
	pins := []string{"D 12%2534%0a", "D 12%2534%0a"}
	if role == "differs" {
		pins[1] = "D other"
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		command, argument, _ := strings.Cut(lines.Text(), " ")
		switch {
		case command == "BYE" && role == "stays":
			time.Sleep(time.Minute)
		case command == "BYE":
			fmt.Println("OK")
			return 0
		case command == "SETREPEAT" && role != "repeats", command == "OPTION" && strings.HasPrefix(argument, "lc-ctype"):
			fmt.Println("ERR 536871187 Unknown command <User defined source 1>")
		case command != "GETPIN":
			fmt.Println("OK")
		case role == "cancel":
			fmt.Println("ERR 83886179 Operation cancelled <Pinentry>")
		case role == "dies":
			return 3
		case role == "hangs":
			time.Sleep(time.Minute)
		case role == "talks on":
			for {
				fmt.Println("S FLOPPY")
			}
		case role == "empty":
			fmt.Println("OK")
		case role == "long":
			for range 10 {
				fmt.Println("D " + strings.Repeat("1", 900))
			}
			fmt.Println("OK")
		default:
			fmt.Println("# a comment")
			fmt.Println("S PASSWORD_FROM_CACHE")
			fmt.Println(pins[0])
			fmt.Println("OK")
			pins = pins[1:]
		}
	}
	return 0
}

func askFakePinentry(t *testing.T, ctx context.Context, role string, q Request) (s *Bytes, told []string, err error) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	r := &Resolver{
		Env: append(os.Environ(), roleVariable+"="+role, logVariable+"="+log,
			"GPG_TTY=/dev/pts/7", "TERM=vt100", "LC_ALL=", "LC_CTYPE=C.UTF-8"),
		Sources:  sources(t, string(q.Name), "pinentry"),
		Pinentry: os.Args[0],
	}
	s, err = r.Ask(ctx, q)
	text, readErr := os.ReadFile(log)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return s, strings.Split(strings.TrimSpace(string(text)), "\n"), err
}

func TestPinentry(t *testing.T) {
	s, told, err := askFakePinentry(t, t.Context(), "plain", Request{Name: PIN, Label: "user PIN, 100% yours", Note: "3 tries left"})
	if err != nil || string(s.Reveal()) != "12%34" {
		t.Errorf("%q, %v", s.Reveal(), err)
	}
	want := []string{
		"OPTION ttyname=/dev/pts/7", "OPTION ttytype=vt100", "OPTION lc-ctype=C.UTF-8",
		"SETTITLE cardctl", "SETDESC user PIN, 100%25 yours%0A3 tries left", "SETPROMPT PIN:", "GETPIN", "BYE",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q", told)
	}
}

func TestPinentryNew(t *testing.T) {
	tests := []struct {
		role string
		told string // once
		ok   bool
	}{
		{"repeats", "SETREPEATERROR The entries differ. Try again.", true},
		{"asked twice", "SETDESC Repeat new PIN", true},
		{"differs", "SETDESC Repeat new PIN", false},
	}
	for _, test := range tests {
		t.Run(test.role, func(t *testing.T) {
			s, told, err := askFakePinentry(t, t.Context(), test.role, Request{Name: NewPIN, Label: "new PIN", New: true})
			if (err == nil) != test.ok || test.ok && string(s.Reveal()) != "12%34" || !test.ok && !problem.Is(err, problem.Usage) {
				t.Errorf("%q, %v", s.Reveal(), err)
			}
			if !slices.Contains(told, test.told) {
				t.Errorf("told %q", told)
			}
		})
	}
}

func TestPinentryProblems(t *testing.T) {
	for role, what := range map[string]string{
		"cancel":  "PIN from pinentry: cancelled",
		"empty":   "PIN from pinentry: it is empty",
		"long":    "PIN from pinentry: it is longer than 4096 bytes",
		"dies":    "PIN from pinentry: pinentry failed",
		"garbage": "PIN from pinentry: pinentry failed",
	} {
		t.Run(role, func(t *testing.T) {
			s, _, err := askFakePinentry(t, t.Context(), role, Request{Name: PIN, Label: "PIN"})
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != problem.Usage || p.What != what || s != nil {
				t.Errorf("%+v", err)
			}
		})
	}
}

func TestPinentryCanceled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, _, err := askFakePinentry(t, ctx, "hangs", Request{Name: PIN}); err != context.DeadlineExceeded {
		t.Error(err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

// A pinentry that does not end, or does not stop talking, is ended.
func TestPinentryThatStays(t *testing.T) {
	for role, want := range map[string]string{"stays": "12%34", "talks on": ""} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		s, _, err := askFakePinentry(t, ctx, role, Request{Name: PIN, Label: "PIN"})
		cancel()
		if string(s.Reveal()) != want || want == "" && !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %q, %v", role, s.Reveal(), err)
		}
	}
}

func TestPinentryNotThere(t *testing.T) {
	r := &Resolver{Sources: sources(t, "pin", "pinentry"), Pinentry: "no-such-pinentry"}
	_, err := r.Ask(t.Context(), Request{Name: PIN})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Usage || !reflect.DeepEqual(p.Next, advice.Repeat(advice.Ask(PIN))) {
		t.Errorf("%+v", err)
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add([]byte("12%2534"), 10)
	f.Add([]byte("%"), 1)
	f.Add([]byte("%4"), 1)
	f.Add([]byte("abc"), 2)
	f.Fuzz(func(t *testing.T, src []byte, room int) {
		if room < 0 || room > 1000 {
			return
		}
		n, err := unescape(make([]byte, room), src)
		if err == nil && n > len(src) {
			t.Errorf("%d bytes out of %d", n, len(src))
		}
	})
}

// What is escaped comes back.
func FuzzEscape(f *testing.F) {
	f.Add("100%\r\nPIN")
	f.Fuzz(func(t *testing.T, s string) {
		escaped := escape(s)
		if strings.ContainsAny(escaped, "\r\n") {
			t.Errorf("%q has lines", escaped)
		}
		back := make([]byte, len(s))
		n, err := unescape(back, []byte(escaped))
		if err != nil || string(back[:n]) != s {
			t.Errorf("%q, %v", back[:n], err)
		}
	})
}

func FuzzAssuanResponse(f *testing.F) {
	f.Add([]byte("# c\nS x\nD 12%25\nD 3\nOK\n"))
	f.Add([]byte("ERR 83886179 cancelled\n"))
	f.Add([]byte("INQUIRE QUALITY 1\nOK\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := newAssuan(strings.NewReader(string(b)), &strings.Builder{})
		if n, err := a.response(); err != nil && n != 0 || n > MaxLength {
			t.Errorf("%d, %v", n, err)
		}
	})
}
