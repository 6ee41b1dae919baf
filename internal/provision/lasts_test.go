package provision

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// forGone is how long a ledger is waited for that is not there.
const forGone = 500 * time.Millisecond

// leasedWork is the work on a card whose row is held for a time; gone has the ledger not
// be reached any more.
func leasedWork(t *testing.T, lease, patience time.Duration) (w *work, gone func()) {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Lease: lease, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // a test may have closed it
	if err := l.Offer(t.Context(), "plan", []ledger.Row{{Key: "a", Person: ledger.Person{ID: "a"}}}); err != nil {
		t.Fatal(err)
	}
	w = &work{run: &run{person: &person{}}, report: Row{Serial: "A1"}, plan: &plan.Plan{}}
	if w.lease, err = l.Claim(t.Context(), "plan", "A1"); err != nil || w.lease == nil {
		t.Fatal(err)
	}
	return w, func() {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A step is begun only if the row is this station's until it ends: the lease is prolonged
// for a long one, if the ledger can be reached.
func TestNoStepOutlastsItsRow(t *testing.T) {
	const ledgers = time.Minute // that of a ledger
	for name, test := range map[string]struct {
		lease, takes time.Duration
		gone, lasts  bool
	}{
		"a short step":                      {ledgers, 0, false, true},
		"a short step, without the ledger":  {ledgers, 0, true, true},
		"a long step":                       {ledgers, rsaTime, false, true},
		"a long step, without the ledger":   {ledgers, rsaTime, true, false},
		"a short lease":                     {time.Second, 0, false, true},
		"a short lease and a long step":     {time.Second, rsaTime, false, true},
		"a short lease, without the ledger": {time.Second, 0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patience := time.Minute
			if test.gone {
				patience = forGone
			}
			w, gone := leasedWork(t, test.lease, patience)
			if test.gone {
				gone()
			}
			begun := false
			w.add(step{name: "a step", result: Would, takes: test.takes})
			err := w.perform(w.steps[0], func() (string, error) {
				begun = true
				if !w.lease.Lasts(test.takes) {
					t.Error("the lease may end before the step")
				}
				return "", nil
			})
			if begun != test.lasts || (err == nil) != test.lasts || err != nil && !problem.Is(err, problem.Failed) {
				t.Errorf("begun: %t, %v", begun, err)
			}
			if result := w.steps[0].result; (result == Done) != test.lasts {
				t.Errorf("the step is %s", result)
			}
		})
	}
	w := &work{run: &run{person: &person{}}}
	if err := w.perform(&step{}, func() (string, error) { return "", nil }); err != nil {
		t.Errorf("without a row: %v", err)
	}
}

// What is done after the card was let go is a step like all others.
func TestLaterStepsDoNotOutlastTheirRow(t *testing.T) {
	w, gone := leasedWork(t, time.Second, forGone)
	gone()
	w.plan.SmokeTest, w.plan.Applet = &plan.SmokeTest{}, &plan.Applet{NewCardKeys: &plan.NewCardKeys{}}
	w.surveyProof()
	if err := w.surveyCardKeys(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		proof: w.prove(t.Context(), desk.Access{}), settingCardKeys: w.setCardKeys(t.Context(), desk.Desk{}, desk.Access{}),
	} {
		if !problem.Is(err, problem.Failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each step says how long it may take: a key longer than another, an issuer longer than a
// PIN.
func TestStepsThatTakeLong(t *testing.T) {
	for algorithm, want := range map[string]time.Duration{"rsa2048": rsaTime, "rsa4096": rsaTime, "": rsaTime, "p256": usualTime, "x25519": usualTime} {
		w := &work{plan: &plan.Plan{}}
		p := &place{Key: plan.Key{Ref: "OPENPGP.3", Algorithm: algorithm, Certificate: &plan.Certificate{}}, w: w}
		if err := w.surveyKey(t.Context(), p, true); err != nil {
			t.Fatal(err)
		}
		if err := w.surveyCertificate(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if took := w.steps[0].takes; took != want {
			t.Errorf("a key %q takes %s, want %s", algorithm, took, want)
		}
		if took := w.steps[1].takes; took != issueTime {
			t.Errorf("a certificate takes %s", took)
		}
		p.Certificate.NewKey = true
		if took := renewTime(p); took <= want {
			t.Errorf("a renewal with a new key %q takes %s", algorithm, took)
		}
	}
}

// A PIN that somebody took long to type is not used after the row was lost.
func TestAnAnswerAfterTheLease(t *testing.T) {
	w, gone := leasedWork(t, time.Second, forGone)
	w.purse = newPurse(w, w.plan)
	typed := secret.New([]byte("123456"))
	w.run.person.access.Ask = func(context.Context, secret.Request) (*secret.Bytes, error) {
		gone()
		return typed, nil
	}
	w.doing = &step{name: "certificate"}
	if value, err := w.ask(t.Context(), secret.Request{Name: secret.Password}); value != nil || !problem.Is(err, problem.Failed) {
		t.Errorf("%v, %v", value, err)
	}
	if len(typed.Reveal()) > 0 && string(typed.Reveal()) == "123456" {
		t.Error("the PIN was not wiped")
	}
}
