package keygen

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// precious is a place that nothing restores.
type precious struct{ *fakeKey }

func (precious) LostForGood() string { return "No reset brings it back." }

// A key that nothing brings back is asked for, beside the fingerprint that has to name it.
func TestIrreplaceableKey(t *testing.T) {
	asks := func(yes bool, asked *string) desk.Confirm {
		return func(_ context.Context, q desk.Question) error {
			*asked = q.Statement()
			if !yes {
				return problem.New(problem.Refused, "no")
			}
			return nil
		}
	}
	works := map[string]func(context.Context, precious, Options) error{
		"generate": func(ctx context.Context, k precious, o Options) error {
			_, err := GenerateOn(ctx, k, o)
			return err
		},
		"import": func(ctx context.Context, k precious, o Options) error {
			_, err := ImportOn(ctx, k, keys().fresh, o)
			return err
		},
		"delete": func(ctx context.Context, k precious, o Options) error {
			_, err := DeleteOn(ctx, k, o.Replace, o.Confirm)
			return err
		},
	}
	for name, work := range works {
		for _, test := range []struct {
			replace      string
			yes, is, ask bool
		}{{"", true, false, false}, {oldFingerprint, false, false, true}, {oldFingerprint, true, true, true}} {
			k := precious{occupied()}
			var asked string
			err := work(t.Context(), k, Options{Replace: test.replace, Confirm: asks(test.yes, &asked)})
			done := slices.ContainsFunc(k.did, func(did string) bool { return strings.HasPrefix(did, name) })
			if done != test.is || (err == nil) != test.is || err != nil && !problem.Is(err, problem.Refused) {
				t.Errorf("%s, %+v: %v, done %v", name, test, err, k.did)
			}
			if (asked != "") != test.ask || test.ask && !strings.Contains(asked, "No reset brings it back.") {
				t.Errorf("%s, %+v: asked %q", name, test, asked)
			}
		}
	}
	// An empty place loses nothing.
	k := precious{&fakeKey{}}
	if _, err := GenerateOn(t.Context(), k, Options{Confirm: func(context.Context, desk.Question) error { return problem.New(problem.Refused, "asked") }}); err != nil {
		t.Error(err)
	}
}

// A key that only a certificate shows may be another: importing it again is a change.
func TestImportOfAKeyThatACertificateShows(t *testing.T) {
	k := occupied()
	k.occupant.Certified = true
	if _, err := ImportOn(t.Context(), k, keys().old, Options{}); !problem.Is(err, problem.Refused) {
		t.Errorf("got %v", err)
	}
	r, err := ImportOn(t.Context(), k, keys().old, Options{Replace: oldFingerprint})
	if err != nil || r.Unchanged || !slices.Contains(k.did, "import") {
		t.Errorf("%+v, %v, %v", r, err, k.did)
	}
}

// still is a key that cannot be deleted.
type still struct{ *fakeKey }

func (still) Deletable(context.Context) error { return problem.New(problem.NotSupported, "no") }

func TestAKeyThatCannotBeDeletedIsNotAskedFor(t *testing.T) {
	_, err := DeleteOn(t.Context(), still{occupied()}, oldFingerprint, func(context.Context, desk.Question) error {
		t.Error("asked")
		return nil
	})
	if !problem.Is(err, problem.NotSupported) {
		t.Errorf("got %v", err)
	}
}
