package setup

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

// program is one that has to be installed.
type program struct {
	names []string // of the executable; one of them is enough
	pack  string   // Debian's package
	files string   // a pattern of files, for what is no executable
}

// opensslEngine gives OpenSSL the keys of PKCS#11 modules.
func opensslEngine() program {
	return program{names: []string{"OpenSSL's engine"}, pack: "libengine-pkcs11-openssl", files: "/usr/lib/*/engines-*/pkcs11.so"}
}

func (p program) installed() bool {
	if p.files != "" {
		found, err := filepath.Glob(p.files)
		return err == nil && len(found) > 0
	}
	return slices.ContainsFunc(p.names, func(name string) bool { return find(name) != "" })
}

// installed looks whether the programs of the target are there.
func (j *job) installed() error {
	for _, p := range j.target.needs {
		if err := p.required(); err != nil {
			return err
		}
	}
	return nil
}

// required is an error if it is not installed.
func (p program) required() error {
	if p.installed() {
		return nil
	}
	return problem.New(problem.NotFound, "%s is not installed", p.names[0]).
		Because("It is in Debian's package %s.", p.pack).Advise(advice.Run("apt", "install", p.pack))
}

// find is the path of a program, empty if it is not there. Programs of administrators
// are not in the PATH of everybody.
func find(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// run runs a program to its end and returns its output. More is added to its
// environment, which has no secrets otherwise. The error has the last line that the
// program wrote.
func (j *job) run(ctx context.Context, more []string, name string, args ...string) (string, error) {
	return j.feed(ctx, nil, more, name, args...)
}

// feed is run of a program that reads input.
func (j *job) feed(ctx context.Context, input []byte, more []string, name string, args ...string) (string, error) {
	return j.runProgram(ctx, runner.Program{Name: name, Args: args, Env: more, Stdin: input})
}

// runProgram is run of a program with its input.
func (j *job) runProgram(ctx context.Context, p runner.Program) (string, error) {
	result, err := j.outcome(ctx, p)
	if err != nil {
		return "", err
	}
	if result.Exit != 0 {
		failed := problem.New(problem.Failed, "%s failed", p.Name)
		if said := lastLine(result.Stderr, result.Stdout); said != "" {
			failed = failed.Because("It reports: %s", problem.Sentence(said))
		}
		return "", failed
	}
	return string(result.Stdout), nil
}

// outcome runs a program to its end, whatever that is.
func (j *job) outcome(ctx context.Context, p runner.Program) (runner.Result, error) {
	p.Env = slices.Concat(j.Environ, []string{"LC_ALL=C"}, p.Env)
	result, err := runner.Child(ctx, find(p.Name), p)
	if ctx.Err() != nil {
		return runner.Result{}, ctx.Err()
	}
	if err != nil {
		return runner.Result{}, problem.Wrap(problem.Failed, err, p.Name+" could not be started")
	}
	return result, nil
}

// parsed has a program read a file, if there is one. A file that it cannot read is not
// written to: it would not work afterwards either.
func (j *job) parsed(ctx context.Context, path, name string, args ...string) error {
	if now, err := readFile(path); now == nil || err != nil {
		return err
	}
	result, err := j.outcome(ctx, runner.Program{Name: name, Args: args})
	if err != nil {
		return err
	}
	if result.Exit != 0 {
		said, _, _ := strings.Cut(string(result.Stderr), "\n") // of several, the first mistake
		return unparsable(path, errors.New(name+" reports: "+said))
	}
	return nil
}

// lastLine is the last line that says something, of the first output that has one.
func lastLine(outputs ...[]byte) string {
	for _, output := range outputs {
		for _, line := range slices.Backward(strings.Split(string(output), "\n")) {
			if line = strings.TrimSpace(line); line != "" {
				return line
			}
		}
	}
	return ""
}
