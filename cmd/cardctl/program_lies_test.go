//go:build unix

package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/runner"
)

// TestProgramsThatLie has pkcs15-init of OpenSC report something else than it did:
// cardctl says what is on the card, and what it offers is the right thing to do.
func TestProgramsThatLie(t *testing.T) {
	idle := func(runner.Func) runner.Func {
		return func(context.Context, runner.Program) (runner.Result, error) { return runner.Result{}, nil }
	}
	pessimist := func(run runner.Func) runner.Func {
		return func(ctx context.Context, p runner.Program) (runner.Result, error) {
			result, err := run(ctx, p)
			result.Exit, result.Stderr = 1, []byte("Failed to create PKCS #15 meta structure: Generic PKCS#15 initialization error\n")
			return result, err
		}
	}
	forgets := func(run runner.Func) runner.Func {
		return func(ctx context.Context, p runner.Program) (runner.Result, error) {
			for _, option := range []string{"--so-pin", "--so-puk"} {
				if at := slices.Index(p.Args, option); at >= 0 {
					p.Args = slices.Concat(p.Args[:at], p.Args[at+2:])
				}
			}
			return run(ctx, p)
		}
	}
	mistypes := func(run runner.Func) runner.Func {
		return func(ctx context.Context, p runner.Program) (runner.Result, error) {
			name := strings.TrimPrefix(p.Args[slices.Index(p.Args, "--pin")+1], "env:")
			p.Env = append(slices.DeleteFunc(slices.Clone(p.Env), func(v string) bool { return strings.HasPrefix(v, name+"=") }), name+"=999999")
			return run(ctx, p)
		}
	}
	full := func(runner.Func) runner.Func {
		return func(context.Context, runner.Program) (runner.Result, error) {
			return runner.Result{Exit: 1, Stderr: []byte("Failed to generate key: Not enough memory on card\n")}, nil
		}
	}
	const initIso = "init --app pkcs15 --label desk --yes --pin env:P15_PIN --puk env:P15_PUK16"
	const initMyEID = "init --app pkcs15 --label desk --yes --pin env:P15_PIN --puk env:P15_PUK8 --so-pin env:P15_SO_PIN"
	const genKey = "gen-key -k PKCS15.45 --pin env:P15_PIN"
	for name, test := range map[string]struct {
		application     string
		before          []string
		command         string
		lies            func(runner.Func) runner.Func
		says, try, then string // then is the command that succeeds afterwards
	}{
		"IsoApplet, no PIN": {"pkcs15", nil, initIso, forgets,
			"pkcs15-init reported success, but the card has no user PIN", initIso, initIso},
		"IsoApplet, a structure": {"pkcs15", nil, initIso, pessimist,
			"pkcs15-init failed after it had set the PIN", initIso, initIso + " --allow-unknown-tries"},
		"IsoApplet, no key": {"pkcs15", []string{initIso}, genKey, idle,
			"pkcs15-init reported success, but the card has no key", "info", genKey},
		"IsoApplet, no room": {"pkcs15", []string{initIso}, genKey, full, "the card is full", "info", genKey},
		"MyEID, another PIN": {"myeid", nil, initMyEID, mistypes,
			"pkcs15-init reported success, but the PINs of the card are not the new ones", initMyEID, initMyEID + " --current-so-pin env:P15_SO_PIN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newSwapDesk(t, "P15_PIN=246813", "P15_PUK16=1234567890123456", "P15_PUK8=12345678", "P15_SO_PIN=87654321")
			kind := kindOfCard{name: name, options: cardsim.Options{Applications: []string{test.application}}}
			kind.card(t, "", test.before, d)
			truthful := d.testDesk.programs
			d.testDesk.programs = func(ctx context.Context, p runner.Program) (runner.Result, error) {
				if p.Name == "pkcs15-init" {
					return test.lies(truthful)(ctx, p)
				}
				return truthful(ctx, p)
			}
			r := d.run(t.Context(), d.words(test.command))
			said, ok := complained(r.stderr)
			if r.exit != 1 || !ok || !strings.Contains(r.stderr, test.says) {
				t.Errorf("exit status %d\n%s", r.exit, r.stderr)
			}
			typed, try := strings.Fields(test.try), shellWords(said.try)
			slices.Sort(typed)
			if len(try) == 0 || try[0] != "cardctl" {
				t.Fatalf("Try: %s", said.try)
			}
			if try = try[1:]; !slices.Equal(typed, slices.Sorted(slices.Values(try))) {
				t.Errorf("Try: %s", said.try)
			}
			d.testDesk.programs = truthful
			d.must(d.words(test.then)...)
		})
	}
}
