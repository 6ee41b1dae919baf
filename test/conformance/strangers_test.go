//go:build cgo

package conformance

import (
	"context"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/runner"
)

// TestAStrangerIsShown: what only OpenSC can read is shown without a word about the
// application, and marked.
func TestAStrangerIsShown(t *testing.T) {
	p := strange(t)
	report := made(t, p)
	p.desk.Meant.App = ""
	info, err := inventory.Inspect(t.Context(), p.desk, p.access())
	if err != nil {
		t.Fatal(err)
	}
	shown := slices.ContainsFunc(info.Keys, func(k inventory.Key) bool { return k.Ref == p.ref && k.Fingerprint == report.Fingerprint })
	if !shown || info.Card.Through != "OpenSC" || !info.Card.Read || info.Card.Serial == "" || len(info.PINs) < 2 || len(info.Unread) > 0 {
		t.Errorf("%+v", info)
	}
	line, err := p.desk.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := family.Identify(t.Context(), line)
	if err != nil || found.Through != "OpenSC" || found.Serial != info.Card.Serial || found.Label == "" {
		t.Errorf("%+v, %v", found, err)
	}
	serials, err := family.Serials(t.Context(), line)
	if err != nil || !slices.Contains(serials, info.Card.Serial) {
		t.Errorf("%v, %v", serials, err)
	}
	if err := line.Done(nil); err != nil {
		t.Error(err)
	}
}

// TestNothingIsClaimedOfWhatOpenSCCannotRead: a card that nobody knows has no empty
// lists.
func TestNothingIsClaimedOfWhatOpenSCCannotRead(t *testing.T) {
	p := strange(t)
	p.desk.Meant.App = ""
	p.desk.RunProgram = func(context.Context, runner.Program) (runner.Result, error) {
		return runner.Result{Exit: 1, Stderr: []byte("Failed to connect to card: Card is invalid or cannot be handled\n")}, nil
	}
	info, err := inventory.Inspect(t.Context(), p.desk, p.access())
	if err != nil || info.Card.Read || len(info.Unread) != 1 || info.Card.Through != "" {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestAKeyThatTheCardRenumbers: it is reported by the ID that it has, with the one
// that was asked for, and works by it.
func TestAKeyThatTheCardRenumbers(t *testing.T) {
	p := gids(t)
	start := p.desk.RunProgram
	p.desk.RunProgram = func(ctx context.Context, job runner.Program) (runner.Result, error) {
		job.Args = slices.Clone(job.Args)
		if at := slices.Index(job.Args, "--id"); at >= 0 && slices.Contains(job.Args, "--generate-key") {
			job.Args[at+1] = "77"
		}
		return start(ctx, job)
	}
	report := made(t, p)
	if report.Ref != "PKCS15.77" || report.Requested != "PKCS15.45" {
		t.Errorf("%+v", report)
	}
	p.ref = report.Ref
	signs(t, p)
}
