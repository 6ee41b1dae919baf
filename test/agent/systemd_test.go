//go:build stack

package agent_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const units = "../../scripts/package/systemd"

// TestUnits has systemd read the units of the packages.
func TestUnits(t *testing.T) {
	d := stack.NewDesk(t)
	d.Setenv("XDG_RUNTIME_DIR", stack.Shared(t, "run-"))
	program, err := exec.LookPath("cardctl")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(units + "/*")
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v", files, err)
	}
	verify := []string{"--user", "verify", "--man=no"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		verify = append(verify, d.Write(filepath.Base(file), strings.ReplaceAll(string(text), "/usr/bin/cardctl", program), 0o644))
	}
	if r := d.Try("systemd-analyze", verify...); r.Exit != 0 || strings.Contains(r.Stdout+r.Stderr, "cardctl-agent") {
		t.Error(r)
	}
}

// TestStartedByItsSockets has a service manager listen where the units say, and a program that
// connects starts the agent, where p11-kit-client.so looks by itself.
func TestStartedByItsSockets(t *testing.T) {
	d := newStillDesk(t)
	openPGPEC.bring(t, d, 0)
	words := []string{"--setenv=PATH", "--setenv=XDG_RUNTIME_DIR", "--setenv=HOME", "--setenv=CARD_PIN", "--setenv=ASKED"}
	for _, unit := range []string{"cardctl-agent.socket", "cardctl-agent-p11-kit.socket"} {
		text, err := os.ReadFile(filepath.Join(units, unit))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if path, is := strings.CutPrefix(strings.TrimSpace(line), "ListenStream=%t"); is {
				if err := os.MkdirAll(filepath.Dir(d.run+path), 0o700); err != nil {
					t.Fatal(err)
				}
				words = append(words, "--listen", d.run+path)
			}
		}
	}
	var said strings.Builder
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	agent := d.Process(ctx, &said, &said, "systemd-socket-activate", append(words, "cardctl", "agent", "--foreground")...)
	d.Eventually("the sockets are there", func() bool {
		_, err := os.Stat(filepath.Join(d.run, "p11-kit/pkcs11"))
		return err == nil
	})
	d.signs(t, openPGPEC, signing)
	if keys := d.Run("ssh-add", "-L"); !strings.HasPrefix(keys, "ecdsa") {
		t.Error(keys)
	}
	if s := d.status(t); len(s.Cards) != 1 || s.Cards[0].Operations != 1 {
		t.Errorf("%+v", s)
	}
	d.Run("cardctl", "agent", "stop")
	if exit := agent.Wait(); exit != 0 {
		t.Errorf("exit status %d\n%s", exit, said.String())
	}
}
