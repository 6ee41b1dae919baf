package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/smoke"
)

const proof = "smokeTest"

// provable refuses, before anything is changed, a test that cannot be made.
func (w *work) provable() error {
	if w.plan.SmokeTest == nil || !strings.HasPrefix(w.here.Place, desk.SimulatedPrefix) || w.run.o.Renew {
		return nil
	}
	return problem.New(problem.NotSupported, "other programs do not see an in-process simulated card").
		Because("The plan says smokeTest. Nothing on the card was changed.").
		Advise(advice.Do(advice.AttachSimulated).On(strings.TrimPrefix(w.here.Place, desk.SimulatedPrefix)))
}

// surveyProof adds the test, unless it was passed and nothing was changed since.
func (w *work) surveyProof() {
	if w.plan.SmokeTest == nil {
		return
	}
	if !w.due() && w.known != nil && w.begun() && w.known.State == ledger.Active {
		w.already(proof, "passed before")
		return
	}
	w.add(step{name: proof, result: Would})
}

// prove makes the test, while the card is let go for the module.
func (w *work) prove(ctx context.Context, a desk.Access) error {
	at := -1
	for i, s := range w.steps {
		if s.name == proof && s.result == Would {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	s := w.steps[at]
	w.tell(proof, "", "")
	detail, err := w.proved(ctx, a)
	s.result, s.detail = Done, detail
	if err != nil {
		s.result, s.detail = Failed, err.Error()
	}
	w.list()
	w.tell(proof, s.result, s.detail)
	return err
}

// proved are the checks that passed.
func (w *work) proved(ctx context.Context, a desk.Access) (string, error) {
	t := w.plan.SmokeTest
	references := t.Keys
	if len(references) == 0 {
		for _, k := range w.plan.Keys {
			references = append(references, k.Ref)
		}
	}
	if w.meant != nil {
		references = slices.Clone(references)
		for i := range references {
			references[i] = family.OnToken(references[i], w.serial)
		}
	}
	d := *w.desk
	d.Meant.Serial, d.Meant.App = w.serial, ""
	libraries := t.As
	if len(libraries) == 0 {
		libraries = []string{""}
	}
	passed := 0
	for _, name := range libraries {
		o := smoke.Options{
			Module: cmp.Or(t.Module, w.plan.Card.Module), TLS: t.TLS || name != "", TLSConnect: t.TLSConnect, Stored: certstore.ExportFrom,
		}
		if name != "" {
			library, err := smoke.ParseLibrary(name)
			if err != nil {
				return "", err
			}
			o.As = library
		}
		reports, err := smoke.Prove(ctx, &d, a, references, o)
		if err != nil {
			return "", err
		}
		for _, report := range reports {
			passed += len(report.Checks)
		}
	}
	return fmt.Sprintf("%d checks", passed), nil
}
