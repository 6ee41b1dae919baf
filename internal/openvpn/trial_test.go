//go:build unix

package openvpn

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// try has a client and a server do what their lines say.
func try(t *testing.T, client, server []string) (*stage, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	st, err := tryUntil(ctx, t, client, server)
	if ctx.Err() != nil {
		t.Fatalf("no end: %v\n%s", err, st.got())
	}
	return st, err
}

func tryUntil(ctx context.Context, t *testing.T, client, server []string) (*stage, error) {
	t.Helper()
	st := newStage(t, client...)
	dir := filepath.Dir(st.play)
	if err := os.Symlink(st.setting.program, filepath.Join(dir, "openvpn")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	play := filepath.Join(dir, "server")
	if err := os.WriteFile(play, []byte(strings.Join(server, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	trial := &Trial{
		Key: st.wanted.Key, Token: st.wanted.token, Config: "key.conf", PIN: secret.New([]byte(rightPIN)),
		Client: []string{"--dev", "null"}, ClientEnv: st.setting.desk.ChildEnv, ServerEnv: append(os.Environ(), playsVariable+"="+play),
	}
	err := trial.Run(ctx)
	if left, _ := filepath.Glob(filepath.Join(dir, "cardctl-openvpn-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return st, err
}

// waits is a server that has to be ended.
var waits = slices.Repeat([]string{"sleep"}, 20)

// TestATrialEndsWithTheConnection, for which OpenVPN gets the PIN that the token accepted.
func TestATrialEndsWithTheConnection(t *testing.T) {
	st, err := try(t, slices.Concat(begins, []string{asksPIN, "wait password", connected, "wait never"}), waits)
	got := st.got()
	if err != nil || st.passwords() != 1 || st.asked != 0 || !strings.Contains(got, quoted) || !strings.Contains(got, "signal \"SIGTERM\"\nended") {
		t.Errorf("%v, asked %d times\n%s", err, st.asked, got)
	}
	if !strings.HasPrefix(got, "--config key.conf --dev null --management ") || strings.Contains(got, "pkcs11-id-management") {
		t.Error(got)
	}
}

// TestATrialThatFails says why, and sends no PIN twice or to another token.
func TestATrialThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		client, server []string
		code           problem.Code
		why            string
		sent           int
	}{
		"no connection":   {slices.Concat(begins, []string{asksPIN, "wait password", "say TLS handshake failed", "exit 1"}), waits, problem.Failed, "It said: TLS handshake failed.", 1},
		"no server":       {slices.Concat(begins, []string{"wait never"}), []string{"sleep", "say no such option", "exit 1"}, problem.Failed, "It said: No such option.", 0},
		"asked again":     {slices.Concat(begins, []string{asksPIN, "wait password", asksPIN, "wait password", connected}), waits, problem.PINIncorrect, "", 1},
		"another token":   {slices.Concat(begins, []string{"send >PASSWORD:Need 'other token' password", "wait password"}), waits, problem.NotSupported, "", 0},
		"another program": {slices.Concat(begins, []string{"send >PASSWORD:Need 'Auth' username/password", "wait password"}), waits, problem.NotSupported, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			st, err := try(t, test.client, test.server)
			p, is := err.(*problem.Error)
			if test.code == problem.PINIncorrect { // what the policy makes of it is not at issue here
				is, p = err != nil, &problem.Error{Code: test.code}
			}
			if !is || p.Code != test.code || test.why != "" && p.Why != test.why || st.passwords() != test.sent {
				t.Errorf("%+v\n%s", err, st.got())
			}
		})
	}
}

// TestATrialThatIsInterrupted leaves no OpenVPN behind.
func TestATrialThatIsInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(500*time.Millisecond, stop)
	begun := time.Now()
	st, err := tryUntil(ctx, t, slices.Concat(begins, []string{"wait never"}), waits)
	if err != context.Canceled || !strings.HasSuffix(st.got(), "signal \"SIGTERM\"\nended\n") || time.Since(begun) > 5*time.Second {
		t.Errorf("%v after %s\n%s", err, time.Since(begun), st.got())
	}
}

// TestTheLinesOfAConfiguration are read back as they were meant, or not written.
func TestTheLinesOfAConfiguration(t *testing.T) {
	for _, module := range []string{"/usr/lib/module.so", `/opt/it's "here" \ now/module.so`} {
		text, err := Lines(module, theID, "KEY")
		if err != nil {
			t.Fatal(err)
		}
		want := [][]string{{"pkcs11-providers", module}, {"pkcs11-id", theID}}
		if got := directives(text); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%q", got)
		}
	}
	for _, id := range []string{strings.Repeat("x", 243), "x\ndaemon"} {
		_, err := Lines("/module.so", id, "KEY")
		if p, is := err.(*problem.Error); !is || p.Code != problem.NotSupported || p.Next.Object != "NAME.conf" {
			t.Errorf("%d bytes: %v", len(id), err)
		}
	}
	if _, err := Lines("/module.so", strings.Repeat("x", 242), "KEY"); err != nil {
		t.Error(err)
	}
}
