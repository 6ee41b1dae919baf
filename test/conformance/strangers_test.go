//go:build cgo

package conformance

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/family"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
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

// TestAKeyWithoutAPublicHalf: a private key beside which the card has neither a public
// key nor a certificate is shown, and its public half is not made up.
func TestAKeyWithoutAPublicHalf(t *testing.T) {
	p := strange(t)
	made(t, p)
	start := p.desk.RunProgram
	p.desk.RunProgram = func(ctx context.Context, job runner.Program) (runner.Result, error) {
		result, err := start(ctx, job)
		result.Stdout = bytes.ReplaceAll(result.Stdout, []byte("\nPublic EC Key ["), []byte("\nData object ["))
		return result, err
	}
	if o := occupant(t, p); o == nil || o.Algorithm != "" && o.Algorithm != key.P256 {
		t.Errorf("%+v", o)
	}
	p.look(t, func(ctx context.Context, k key.Key) {
		_, err := k.Public(ctx)
		advised(t, err, problem.NotFound, advice.Do(advice.ShowCard))
	})
}

// TestAUsageThatTheAlgorithmDoesNotHave is refused before anything is asked for.
func TestAUsageThatTheAlgorithmDoesNotHave(t *testing.T) {
	p := pkcs15(t, "pkcs15", appletPINs())
	for algorithm, usage := range map[string]string{"rsa2048": "derive", "p256": "decrypt"} {
		_, err := keygen.Generate(t.Context(), p.desk, p.access(), keygen.Wish{Key: p.ref, Algorithm: algorithm, Usage: []string{usage}})
		advised(t, err, problem.NotSupported, advice.Repeat().Without(advice.Usage))
	}
	if len(p.asked) > 0 {
		t.Errorf("asked for %v", p.asked)
	}
}

// TestAnAppletThatOpenSCTakesForAnOldOne gets no structure, on which OpenSC would then make
// no keys.
func TestAnAppletThatOpenSCTakesForAnOldOne(t *testing.T) {
	card, r := newCard(t, cardsim.Options{Applications: []string{"pkcs15"}, Profile: "isoapplet-1.0"})
	p := pkcs15In(r, appletPINs())
	p.desk.Meant.App, p.allow.UnknownTries = p.app, true
	start := programs(card).Tools().Run
	p.desk.RunProgram = func(ctx context.Context, job runner.Program) (runner.Result, error) {
		if slices.Contains(job.Args, "--list-algorithms") {
			return runner.Result{Stdout: bytes.Repeat([]byte("Algorithm: ec\nKey length: 256\n"), 8)}, nil
		}
		return start(ctx, job)
	}
	_, err := cardinit.Initialise(t.Context(), p.desk, p.access(), cardinit.Options{Label: p.label})
	advised(t, err, problem.NotSupported, advice.Say("Install a newer OpenSC, then run the command again."))
	if len(p.asked) > 0 {
		t.Errorf("asked for %v", p.asked)
	}
}

// TestAnAppletWithoutKeyImport is asked before a key is deleted for the one that it does
// not take.
func TestAnAppletWithoutKeyImport(t *testing.T) {
	p := pkcs15(t, "pkcs15", appletPINs(), "isoapplet-no-import")
	there := made(t, p).Fingerprint
	for ref, replace := range map[string]string{p.ref: there, "PKCS15.46": ""} {
		_, err := keygen.Import(t.Context(), p.desk, p.access(), brought(), keygen.Wish{Key: ref, Replace: replace}, nil)
		advised(t, err, problem.NotSupported, advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
	}
	if o := occupant(t, p); o == nil || o.Fingerprint != there {
		t.Errorf("%+v", o)
	}
}

// advised checks the code of an error and what it says to do next.
func advised(t *testing.T, err error, code problem.Code, next advice.Advice) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code || !reflect.DeepEqual(p.Next, next) {
		t.Errorf("%v, %+v", err, p)
	}
}

// TestWhatAnIsoAppletAnnouncesDecides: PSS is made by one that reports it, an EC key
// signs on one of version 1.0, and a PIN is never asked for in vain.
func TestWhatAnIsoAppletAnnouncesDecides(t *testing.T) {
	for _, test := range []struct {
		profile, algorithm string
		request            csr.Request
		want               problem.Code
	}{
		{"isoapplet-1.0+isoapplet-rsa4096", "rsa2048", csr.Request{PSS: true}, ""},
		{"isoapplet-1.0+isoapplet-rsa4096", "rsa2048", csr.Request{PSS: true, Digest: crypto.SHA512}, ""},
		{"isoapplet-1.0", "rsa2048", csr.Request{PSS: true}, problem.NotSupported},
		{"isoapplet-1.0", "p256", csr.Request{}, ""},
		{"isoapplet-1.0", "p384", csr.Request{}, ""},
		{"", "rsa2048", csr.Request{PSS: true}, problem.NotSupported},
		{"", "p256", csr.Request{}, problem.NotSupported},
	} {
		t.Run(test.profile+" "+test.algorithm, func(t *testing.T) {
			p := pkcs15(t, "pkcs15", appletPINs(), test.profile)
			p.algorithm = test.algorithm
			made(t, p)
			p.asked = nil
			err := p.request(t, test.request)
			if test.want == "" && err != nil || test.want != "" && !problem.Is(err, test.want) {
				t.Errorf("%v", err)
			}
			if asked := len(p.asked) > 0; asked != (test.want == "") {
				t.Errorf("asked for %v", p.asked)
			}
		})
	}
}

// TestACardIsNamedInFewCommands counts what list-readers asks an initialised card: each
// application, and its name.
func TestACardIsNamedInFewCommands(t *testing.T) {
	for _, test := range []struct {
		application string
		pins        map[secret.Name]string
		most        int
	}{
		{"myeid", myEIDPINs(), 9},
		{"pkcs15", appletPINs(), 10},
	} {
		p := pkcs15(t, test.application, test.pins)
		p.desk.Meant.App = ""
		readers, err := p.desk.OpenReaders(t.Context(), pcsc.Options{})
		if err != nil {
			t.Fatal(err)
		}
		commands := 0
		readers.(*reader).between = func(_, answer []byte) []byte {
			commands++
			return answer
		}
		line, err := p.desk.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found, err := family.Identify(t.Context(), line)
		if err != nil || found.Serial == "" || found.Label == "" || commands > test.most {
			t.Errorf("%s: %d commands, at most %d: %+v, %v", test.application, commands, test.most, found, err)
		}
		if err := line.Done(nil); err != nil {
			t.Error(err)
		}
	}
}
