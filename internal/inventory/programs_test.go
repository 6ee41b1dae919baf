package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
)

// What a module cannot be asked is said, and hides nothing else.
func TestAModuleThatCannotBeAskedHidesNothingElse(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no module\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"/nowhere/module.so", text} {
		d := &desk.Desk{Modules: desk.NewModules(), Meant: desk.Selection{Module: module, ModuleTyped: true}}
		info := Info{Place: "reader", Keys: []Key{{Ref: "OPENPGP.1"}}, Certificates: []Certificate{{Ref: "OPENPGP.1"}}}
		if err := info.nameForPrograms(t.Context(), d); err != nil || len(info.Unread) != 1 || info.Keys[0].Module != "" || info.Keys[0].Unnamed != "" {
			t.Errorf("%+v, %v", info, err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := info.nameForPrograms(ended, d); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
}

// A module that hangs leaves time to report what was read before.
func TestAModuleLeavesTime(t *testing.T) {
	start := time.Now()
	ctx, stop := context.WithDeadline(t.Context(), start.Add(time.Second))
	defer stop()
	for _, timeout := range []time.Duration{0, time.Minute} {
		share, stop := withShare(ctx, &desk.Desk{Timeout: timeout}, 1)
		defer stop()
		if end, _ := share.Deadline(); end.Sub(start) > 600*time.Millisecond {
			t.Errorf("--timeout %v: it has %v of a second", timeout, end.Sub(start))
		}
	}
}

// No module is asked for a card that it cannot see, or that has no keys.
func TestNoModuleIsAskedInVain(t *testing.T) {
	for what, info := range map[string]Info{
		"no keys":   {Place: "reader"},
		"simulated": {Place: "sim:desk", Keys: []Key{{}}},
		"a token":   {Place: "/usr/lib/module.so", Keys: []Key{{}}, ofToken: true},
	} {
		if err := info.nameForPrograms(t.Context(), &desk.Desk{}); err != nil || info.Unread != nil {
			t.Errorf("%s: %+v, %v", what, info, err)
		}
	}
}
