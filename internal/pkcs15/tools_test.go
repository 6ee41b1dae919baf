package pkcs15

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// program is a shell script in the place of OpenSC's.
func program(t *testing.T, script string) Tools {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return Tools{
		Env:  []string{"PATH=" + os.Getenv("PATH"), "CARDCTL_PIN=from the shell", "OPENSC_DRIVER=theirs", "LC_ALL=de_AT"},
		Find: func(string) (string, error) { return path, nil },
	}
}

func TestVersion(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		want   string
		code   problem.Code
	}{
		"Debian's":          {"echo 'OpenSC 0.23.0 [gcc  12.2.0]'", "0.23", ""},
		"the first":         {"echo OpenSC-0.22.0-rc1", "0.22", ""},
		"too old":           {"echo 'OpenSC 0.21.0'", "0.21", problem.NotSupported},
		"none":              {"echo something", "0.0", problem.NotSupported},
		"a failing program": {"exit 3", "0.0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := program(t, test.script).Version(t.Context())
			if v.String() != test.want || test.code != "" && !problem.Is(err, test.code) {
				t.Errorf("%v, %v", v, err)
			}
		})
	}
}

func TestWhatAProgramGets(t *testing.T) {
	tools := program(t, `echo "$*"; env; cat; cat "$2"; (: </dev/tty) 2>/dev/null && echo a terminal; true`)
	out, err := tools.run(t.Context(), call{
		program: "pkcs15-init", args: []string{"--store", runner.FilePlace}, driver: "isoApplet", stdin: []byte("what it reads\n"),
		file: []byte("what is in the pipe\n"), secrets: []handover{{"--pin", secret.New([]byte("246813"))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := string(out)
	for _, want := range []string{
		"--store /dev/fd/3 --pin env:PKCS15_SECRET_0\n", "PKCS15_SECRET_0=246813\n", "OPENSC_DRIVER=isoApplet\n", "LC_ALL=C\n",
		"what it reads\n", "what is in the pipe\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, not := range []string{"from the shell", "theirs", "de_AT", "a terminal"} {
		if strings.Contains(got, not) {
			t.Errorf("%q in\n%s", not, got)
		}
	}
}

func TestAProgramThatFails(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"says why":        {"echo first >&2; echo 'Failed to generate key: Not supported' >&2; exit 1", "pkcs15-init: Failed to generate key: Not supported"},
		"says nothing":    {"exit 134", "pkcs15-init failed with exit status 134"},
		"crashes":         {"kill -ABRT $$", "pkcs15-init crashed"},
		"repeats the PIN": {"echo \"PIN 246813 is wrong\" >&2; exit 1", "pkcs15-init: PIN [secret] is wrong"},
		"is hostile":      {"printf 'a\\033[2Jb' >&2; exit 1", "pkcs15-init: a?[2Jb"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := program(t, test.script).run(t.Context(), call{
				program: "pkcs15-init", secrets: []handover{{"--pin", secret.New([]byte("246813"))}},
			})
			if err == nil || err.Error() != test.want {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func TestWhatAProgramsLastLineMeans(t *testing.T) {
	for line, want := range map[string]problem.Code{
		"Failed to connect to card: Card is invalid or cannot be handled": problem.NotSupported,
		"Failed to store private key: Not allowed":                        problem.NotSupported,
		"Failed to store private key: Card command failed":                problem.Failed,
	} {
		_, err := program(t, "echo '"+line+"' >&2; exit 1").run(t.Context(), call{program: "pkcs15-init"})
		var p *problem.Error
		if !errors.As((&Card{}).explain(err, "storing the key"), &p) || p.Code != want || p.Why != "OpenSC reported: pkcs15-init: "+line+"." {
			t.Errorf("%s: %v", line, p)
		}
	}
}

func TestAProgramThatHangsEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := program(t, "exec sleep 60").run(ctx, call{program: "pkcs15-init", file: make([]byte, 1<<20)})
	if err != context.DeadlineExceeded || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestASecretWithAZeroByte(t *testing.T) {
	_, err := program(t, "").run(t.Context(), call{program: "pkcs15-init", secrets: []handover{{"--pin", secret.New([]byte("12\x0034"))}}})
	if !problem.Is(err, problem.Usage) || strings.Contains(err.Error(), "12") {
		t.Error(err)
	}
}

// What cannot be asked of OpenSC stands in the code and in two documents.
func TestDocumentsNameTheFirstVersion(t *testing.T) {
	want := fmt.Sprintf("OpenSC %d.%d or later", leastMajor, leastMinor)
	for _, name := range []string{"../../README.md", "../../docs/pkcs15.md"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), want) {
			t.Errorf("%s does not say %q", name, want)
		}
	}
}
