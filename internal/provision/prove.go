package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/smoke"
)

const proof = "smokeTest"

// readProofs reads what the test is made with, one for each library.
func (r *run) readProofs(ctx context.Context) error {
	t := r.o.Plan.SmokeTest
	if t == nil {
		return nil
	}
	chain, err := readCertificates(ctx, t.Chain)
	if err != nil {
		return err
	}
	authorities, err := readCertificates(ctx, t.CA)
	if err != nil {
		return err
	}
	libraries := t.As
	if len(libraries) == 0 {
		libraries = []string{""}
	}
	for _, name := range libraries {
		as, err := smoke.ParseLibrary(name)
		if err != nil {
			return err
		}
		r.proofs = append(r.proofs, smoke.Options{
			Module: cmp.Or(t.Module, r.o.Plan.Card.Module), TLS: t.TLS || name != "" && t.TLSConnect == "", As: as, TLSConnect: t.TLSConnect,
			Chain: chain, ServerCAs: authorities, Stored: certstore.ExportFrom,
		})
	}
	return nil
}

// readCertificates reads a file that the plan names; none is no certificates.
func readCertificates(ctx context.Context, file string) ([]*cert.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	data, err := input.File(ctx, file, certstore.MaxFile)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "cannot read "+file)
	}
	certificates, err := certstore.Parse(ctx, data, nil)
	if err != nil {
		return nil, problem.Wrap(problem.Mismatch, err, file)
	}
	return certificates, nil
}

// provable refuses, before anything is changed, a test that cannot be made.
func (w *work) provable() error {
	if w.plan.SmokeTest == nil || !strings.HasPrefix(w.here.Place, desk.SimulatedPrefix) || w.run.o.Renew {
		return nil
	}
	return lend.Unseen(w.here.Place).Because("The plan says smokeTest. Nothing on the card was changed.")
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
	w.add(step{name: proof, result: Would, takes: proofTime})
}

// prove makes the test, while the card is let go for the module.
func (w *work) prove(ctx context.Context, a desk.Access) error {
	s := w.later(proof)
	if s == nil {
		return nil
	}
	w.run.proving.Lock() // a module keeps what it saw of readers until its last user closes it
	defer w.run.proving.Unlock()
	return w.perform(s, func() (string, error) { return w.proved(ctx, a) })
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
	passed := 0
	for _, o := range w.run.proofs {
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
