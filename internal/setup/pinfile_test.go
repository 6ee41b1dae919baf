package setup

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func TestPINFile(t *testing.T) {
	me, err := user.Current()
	check(t, err)
	p := &pinFile{Path: filepath.Join(t.TempDir(), "pin"), User: me.Username, Key: "pkcs11:id=%01", send: func(ctx context.Context, use func(context.Context, *secret.Bytes) error) error {
		value := secret.New([]byte("648219"))
		defer value.Wipe()
		return use(ctx, value)
	}}
	if look(t, p) != absent {
		t.Error("there before it is written")
	}
	for user, want := range map[string]string{"root": "Root can read", "www-data": "Whoever works as www-data, and root, can read"} {
		if q := (&pinFile{User: user}).question(); !strings.HasPrefix(q.Lost, want) {
			t.Errorf("%s: %s", user, q.Lost)
		}
	}
	written(t, p)
	if look(t, p) != present || get(t, p.Path) != "648219" {
		t.Errorf("written %q", get(t, p.Path))
	}
	check(t, os.Chmod(p.Path, 0o640))
	if look(t, p) != foreign {
		t.Error("others can read it, and it is taken for ours")
	}
	check(t, p.write(t.Context()))
	if info, err := os.Stat(p.Path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	undone(t, p)
	if look(t, p) != absent {
		t.Error("still there")
	}
	target := filepath.Join(t.TempDir(), "target")
	put(t, target, "theirs")
	check(t, os.Symlink(target, p.Path))
	if look(t, p) != foreign {
		t.Error("a link is taken for ours")
	}
	check(t, p.write(t.Context()))
	if get(t, target) != "theirs" {
		t.Error("written through a link")
	}
}

// TestPINsInConfigurations are values between quotes, which nothing in them ends.
func TestPINsInConfigurations(t *testing.T) {
	me, err := user.Current()
	check(t, err)
	typed := ""
	p := &pinFile{Path: filepath.Join(t.TempDir(), "pin"), User: me.Username, Key: "pkcs11:id=%01", Before: "pin = \"", After: "\"\n", send: func(ctx context.Context, use func(context.Context, *secret.Bytes) error) error {
		return use(ctx, secret.New([]byte(typed)))
	}}
	if value, err := p.value(); value != nil || err != nil {
		t.Errorf("the PIN of no file: %v", err)
	}
	for pin, want := range map[string]string{"648219": "648219", `a"}\b`: `a\"}\\b`} {
		typed = pin
		written(t, p)
		value, err := p.value()
		if err != nil || string(value.Reveal()) != pin || get(t, p.Path) != "pin = \""+want+"\"\n" || look(t, p) != present {
			t.Errorf("%q is %q in %q, %v", pin, value.Reveal(), get(t, p.Path), err)
		}
	}
	check(t, os.WriteFile(p.Path, []byte("pin = \"648219\"\nslot = 1\n"), 0o600))
	if look(t, p) != foreign {
		t.Error("another setting is taken for ours")
	}
	_, err = p.value()
	refused(t, err, problem.Mismatch, advice.Repeat())
	typed = "6482ä"
	refused(t, p.write(t.Context()), problem.NotSupported, advice.Do(advice.SetPIN))
	if look(t, p) != absent {
		t.Error("a PIN that cannot be written is in the file")
	}
}

// TestPINFilesAreNotReused: a server would send the PIN of one key to the card of another,
// again and again.
func TestPINFilesAreNotReused(t *testing.T) {
	me, err := user.Current()
	check(t, err)
	dir := t.TempDir()
	asked := 0
	setUp := func(action Action, key, value string) {
		t.Helper()
		j := &job{
			Options: Options{Action: action, Home: dir, Dir: filepath.Join(dir, "state")},
			access:  desk.Access{Confirm: func(context.Context, desk.Question) error { asked++; return nil }},
			target: target{name: "server", plan: func(context.Context, *job) (plan, error) {
				return plan{entries: []entry{&pinFile{Path: filepath.Join(dir, "pin"), User: me.Username, Key: key, send: func(ctx context.Context, use func(context.Context, *secret.Bytes) error) error {
					return use(ctx, secret.New([]byte(value)))
				}}}}, nil
			}},
		}
		if _, err := j.do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	has := func(want string, questions int) {
		t.Helper()
		if got := get(t, filepath.Join(dir, "pin")); got != want || asked != questions {
			t.Errorf("%q after %d questions, not %q after %d", got, asked, want, questions)
		}
	}
	setUp(Write, "pkcs11:serial=1", "111111")
	has("111111", 1)
	setUp(Write, "pkcs11:serial=1", "unused")
	has("111111", 1)
	setUp(Write, "pkcs11:serial=2", "222222")
	has("222222", 2)
	check(t, os.RemoveAll(filepath.Join(dir, "state")))
	setUp(Write, "pkcs11:serial=2", "333333")
	has("333333", 4)
	setUp(Undo, "", "")
	if _, err := os.Stat(filepath.Join(dir, "pin")); err == nil {
		t.Error("the PIN is still there")
	}
}
