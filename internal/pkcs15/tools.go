package pkcs15

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// Tools are OpenSC's programs.
type Tools struct {
	// Env is the environment that the programs get, without secrets.
	Env []string

	// Find finds a program by its name; nil for the search path.
	Find func(name string) (string, error)

	// Run runs a program to its end; nil for a child process.
	Run runner.Func

	// Simulated is the name of the card if it is simulated, and so may be in no
	// reader.
	Simulated string
}

// The first version of OpenSC that is good enough: older ones do not take
// every secret from the environment.
const (
	leastMajor = 0
	leastMinor = 22
)

// Version of OpenSC.
type Version struct{ Major, Minor int }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

func (v Version) before(major, minor int) bool {
	return v.Major < major || v.Major == major && v.Minor < minor
}

// Version asks opensc-tool, for pkcs15-init does not tell. It touches no card. A
// problem.NotFound where OpenSC is missing, a problem.NotSupported
// where it is too old.
func (t Tools) Version(ctx context.Context) (Version, error) {
	out, err := t.run(ctx, call{program: "opensc-tool", args: []string{"--info"}, apart: true})
	if err != nil {
		return Version{}, err
	}
	v, ok := parseVersion(out)
	if !ok {
		return v, problem.New(problem.NotSupported, "opensc-tool did not report its version").
			Because("Its answer does not begin with OpenSC and a number.").Advise(installOpenSC())
	}
	if v.before(leastMajor, leastMinor) {
		return v, problem.New(problem.NotSupported, "OpenSC %s is too old", v).
			Because("PKCS#15 cards need OpenSC %d.%d or later.", leastMajor, leastMinor).Advise(installOpenSC())
	}
	return v, nil
}

var versionText = regexp.MustCompile(`^OpenSC[ -](\d{1,4})\.(\d{1,4})`)

func parseVersion(out []byte) (Version, bool) {
	found := versionText.FindSubmatch(out)
	if found == nil {
		return Version{}, false
	}
	major, _ := strconv.Atoi(string(found[1])) // digits, by the expression
	minor, _ := strconv.Atoi(string(found[2]))
	return Version{major, minor}, true
}

// call is one run of a program.
type call struct {
	program string
	args    []string
	// secrets are handed over in the environment, by option: --pin.
	secrets []handover
	// stdin is what the program reads there; nil for nothing.
	stdin []byte
	// file is what FilePlace stands for.
	file []byte
	// apart keeps the program off PC/SC: it would wait for a card that is held.
	apart bool
	// driver is OpenSC's name of the card driver, where it is known.
	driver string
	// serial is what the card has afterwards, or will have, where the program
	// erases the card or makes a structure.
	serial string
}

// changes reports whether the program changes the card.
func (c call) changes() bool { return c.program == "pkcs15-init" || len(c.secrets) > 0 }

// String names the run without what is secret or changes nothing.
func (c call) String() string { return c.program + " " + c.args[0] }

// handover is a secret for an option of a program.
type handover struct {
	option string
	value  *secret.Bytes
}

// toolError is a program of OpenSC that failed.
type toolError struct {
	program string
	exit    int    // -1 where a signal ended it
	message string // the last line it wrote, printable, without secrets
}

func (e *toolError) Error() string {
	switch {
	case e.exit < 0:
		return e.program + " crashed"
	case e.message == "":
		return fmt.Sprintf("%s failed with exit status %d", e.program, e.exit)
	}
	return fmt.Sprintf("%s: %s", e.program, e.message)
}

// run runs a program to its end and returns what it wrote to standard output.
func (t Tools) run(ctx context.Context, c call) ([]byte, error) {
	p := runner.Program{Name: c.program, Args: slices.Clone(c.args), Env: t.environment(c.driver), Stdin: c.stdin, File: c.file}
	if c.apart {
		p.Env = append(p.Env, "PCSCLITE_CSOCK_NAME=/dev/null") // pcsc-lite, src/winscard_msg.c
	}
	for i, s := range c.secrets {
		if bytes.IndexByte(s.value.Reveal(), 0) >= 0 {
			return nil, problem.New(problem.Usage, "a secret contains a zero byte")
		}
		name := fmt.Sprintf("PKCS15_SECRET_%d", i)
		p.Args = append(p.Args, s.option, "env:"+name)
		p.Env = append(p.Env, name+"="+string(s.value.Reveal()))
	}
	start := t.Run
	if start == nil {
		start = t.child
	}
	result, err := start(ctx, p)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	case result.Exit != 0:
		return nil, &toolError{c.program, result.Exit, lastLine(result.Stderr, c.secrets)}
	}
	return result.Stdout, nil
}

// child runs a program as a child process without a terminal.
func (t Tools) child(ctx context.Context, p runner.Program) (runner.Result, error) {
	path, err := t.find(p.Name)
	if err != nil {
		return runner.Result{}, err
	}
	return runner.Child(ctx, path, p)
}

func (t Tools) find(program string) (string, error) {
	look := t.Find
	if look == nil {
		look = exec.LookPath
	}
	path, err := look(program)
	if err == nil {
		return path, nil
	}
	p := problem.New(problem.NotFound, "%s is not installed", program).
		Because("Using PKCS#15 cards needs OpenSC.").Advise(installOpenSC())
	p.Cause = err
	return "", p
}

func installOpenSC() advice.Advice { return advice.Run("apt", "install", "opensc") }

// environment is that of the child: no secrets, messages in English, and the
// driver where it is known, which saves the probing for all others.
func (t Tools) environment(driver string) []string {
	env := slices.DeleteFunc(secret.FilterEnv(t.Env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "LC_ALL" || name == "OPENSC_DRIVER" && driver != ""
	})
	env = append(env, "LC_ALL=C")
	if driver != "" {
		env = append(env, "OPENSC_DRIVER="+driver)
	}
	return env
}

// lastLine is the last line of an error output that says something.
func lastLine(output []byte, secrets []handover) string {
	const limit = 200
	for _, s := range secrets {
		if s.value.Len() > 0 {
			output = bytes.ReplaceAll(output, s.value.Reveal(), []byte("[secret]"))
		}
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	line := printable([]byte(strings.TrimSpace(lines[len(lines)-1])))
	if len(line) > limit {
		line = strings.ToValidUTF8(line[:limit], "")
	}
	return line
}
