package setup

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// gnupgTrial is a directory of GnuPG for one check, with daemons of its own: those of the
// person keep what they know of the card, and do not get the PIN.
type gnupgTrial struct {
	job *job
	dir string
}

func (j *job) gnupgTrial() (*gnupgTrial, error) {
	dir, err := temporary()
	if err != nil {
		return nil, err
	}
	g := &gnupgTrial{job: j, dir: dir}
	settings, err := j.daemonSetting(dir)
	if err == nil {
		err = g.put("gpg-agent.conf", []byte(settings))
	}
	if err != nil {
		_ = os.RemoveAll(dir) // what failed is told
		return nil, err
	}
	return g, nil
}

// daemonSetting names the card daemon that a trial in a directory has.
func (j *job) daemonSetting(dir string) (string, error) {
	if j.Agent {
		return j.daemonOfTrial(dir)
	}
	agent, err := readFile(j.agentConfig())
	return settingsOf(string(agent), daemonOption), err
}

// settingsOf are the lines of a configuration of GnuPG that have one option.
func settingsOf(text, option string) string {
	lines := slices.Collect(strings.Lines(text))
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool {
		words := strings.Fields(line)
		return len(words) == 0 || words[0] != option
	}), "")
}

func (g *gnupgTrial) path(name string) string { return filepath.Join(g.dir, name) }

// put writes a file.
func (g *gnupgTrial) put(name string, content []byte) error { return putFile(g.path(name), content) }

// add writes at the end of a file.
func (g *gnupgTrial) add(name, text string) error {
	now, err := readFile(g.path(name))
	if err != nil {
		return err
	}
	if len(now) > 0 && now[len(now)-1] != '\n' {
		now = append(now, '\n')
	}
	return g.put(name, append(now, text...))
}

// ask sends commands to the agent.
func (g *gnupgTrial) ask(ctx context.Context, commands ...string) (string, error) {
	return g.job.run(ctx, nil, "gpg-connect-agent", slices.Concat([]string{"--homedir", g.dir}, commands, []string{"/bye"})...)
}

// close ends the daemons, so that they let the card go, and deletes the directory.
func (g *gnupgTrial) close(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	_, _ = g.job.run(ctx, nil, "gpgconf", "--homedir", g.dir, "--kill", "all")
	_ = until(ctx, func() bool { // the directory goes, whether they ended in time or not
		_, err := os.Stat(g.path("S.gpg-agent"))
		return err != nil
	})
	_, _ = g.job.run(ctx, nil, "gpgconf", "--homedir", g.dir, "--remove-socketdir")
	_ = os.RemoveAll(g.dir)
}

// withTrial works with a trial that has the settings of the card daemon and other files,
// and with the PIN.
func (j *job) withTrial(ctx context.Context, files []string, work func(context.Context, *gnupgTrial, *secret.Bytes) error) error {
	return j.sendPIN(ctx, func(ctx context.Context, pin *secret.Bytes) error {
		g, err := j.gnupgTrial()
		if err != nil {
			return err
		}
		defer g.close(ctx)
		if err := copyFiles(g.dir, j.gnupgHome(), append(files, "scdaemon.conf", pkcs11DaemonConfig)...); err != nil {
			return err
		}
		if err := j.key.Leave(); err != nil {
			return err
		}
		return work(ctx, g, pin)
	})
}

// withPIN is run of gpg or gpgsm, which reads the PIN.
func (g *gnupgTrial) withPIN(ctx context.Context, program string, pin *secret.Bytes, args ...string) (string, error) {
	args = append([]string{"--homedir", g.dir, "--status-fd", "1", "--pinentry-mode", "loopback", "--passphrase-fd", "0"}, args...)
	return g.job.runProgram(ctx, runner.Program{Name: program, Args: args, Stdin: pin.Reveal()})
}

// signAndVerify has gpg or gpgsm sign a message with a key, by its name, and verify the
// signature.
func (g *gnupgTrial) signAndVerify(ctx context.Context, program string, options []string, name string, pin *secret.Bytes) error {
	message := make([]byte, 32)
	_, _ = rand.Read(message) // never fails
	if err := g.put("message", message); err != nil {
		return err
	}
	sign := append([]string{"--batch"}, options...)
	if _, err := g.withPIN(ctx, program, pin, append(sign, "--local-user", name, "--output", g.path(program+".sig"), "--detach-sign", g.path("message"))...); err != nil {
		return err
	}
	verify := append([]string{"--homedir", g.dir, "--batch", "--status-fd", "1"}, options...)
	status, err := g.job.run(ctx, nil, program, append(verify, "--verify", g.path(program+".sig"), g.path("message"))...)
	if err != nil {
		return err
	}
	if !strings.Contains(status, "[GNUPG:] VALIDSIG "+name) {
		return problem.New(problem.Mismatch, "%s does not find its signature valid", program).Advise(advice.Do(advice.ShowCard))
	}
	return nil
}
