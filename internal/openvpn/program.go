package openvpn

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// find is the path of the program. Its directory is not on the path of every user.
func find(places []string) (string, error) {
	for _, name := range append([]string{"openvpn"}, places...) {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", problem.New(problem.NotFound, "OpenVPN is not installed").
		Because("There is no program openvpn on the path. On Debian, it is in the package openvpn.").
		Advise(advice.Run("apt", "install", "openvpn"))
}

// program is OpenVPN as a child process.
type program struct {
	cmd *exec.Cmd
	// lines are what it writes, until it has ended.
	lines chan string
	last  []string // of lines
	// exited is closed when it has ended, with err.
	exited chan struct{}
	err    error
}

const (
	longestLogLine = 4096
	mostLastLines  = 20
)

// start runs OpenVPN. It does not get the signals that a terminal sends: it is told to
// end by this program, and once.
func start(path string, env, args []string) (*program, error) {
	p := &program{cmd: exec.Command(path, args...), lines: make(chan string), exited: make(chan struct{})}
	out, in := io.Pipe()
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, in, in
	p.cmd.WaitDelay = time.Second // a script of it may keep the pipe
	ofItsOwn(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, problem.Wrap(problem.Failed, err, "OpenVPN could not be started")
	}
	go p.read(out)
	go func() {
		p.err = p.cmd.Wait()
		_ = in.Close()
		close(p.exited)
	}()
	return p, nil
}

// read hands on line by line what it writes.
func (p *program) read(from io.Reader) {
	defer close(p.lines)
	r := bufio.NewReaderSize(from, longestLogLine)
	for {
		line, _, err := r.ReadLine() // a longer one is more than one
		if err != nil {
			return
		}
		p.lines <- string(line)
	}
}

// keep notes a line for lastWords.
func (p *program) keep(line string) {
	if len(p.last) == mostLastLines {
		p.last = slices.Delete(p.last, 0, 1)
	}
	p.last = append(p.last, line)
}

// dated is what OpenVPN puts before its lines.
var dated = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} `)

// lastWords is why it failed: the last line that says so. fatal is what it told in its
// last moment, if anything.
func (p *program) lastWords(fatal string) string {
	if fatal != "" {
		return fatal
	}
	for _, line := range slices.Backward(p.last) {
		line = strings.TrimSpace(dated.ReplaceAllString(line, ""))
		switch {
		case line == "", strings.HasSuffix(line, "for more information."), strings.HasPrefix(line, "Exiting due to fatal error"),
			strings.Contains(line, "process exiting"), strings.HasPrefix(line, "Closing TUN/TAP"), strings.HasPrefix(line, "MANAGEMENT:"):
			continue
		}
		return line
	}
	return ""
}

// outcome is the error of a program that has ended by itself; nil where it ended well.
func (p *program) outcome(fatal string) error {
	var status *exec.ExitError
	switch {
	case p.err == nil, errors.Is(p.err, exec.ErrWaitDelay):
		return nil
	case !errors.As(p.err, &status):
		return problem.Wrap(problem.Failed, p.err, "OpenVPN failed")
	}
	return p.failed("OpenVPN failed: "+status.String(), fatal)
}

// failed is the error of a program that says why itself.
func (p *program) failed(what, fatal string) error {
	failed := problem.New(problem.Failed, "%s", what)
	if words := p.lastWords(fatal); words != "" {
		failed = failed.Because("It said: %s", problem.Sentence(words))
	}
	return failed.Advise(advice.Repeat())
}
