package applet

import (
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

// compareLoaded holds the plan of a further instance against the card: the package
// and its applet have to be there, and nothing with the AID of the instance.
func (w *installation) compareLoaded(ctx context.Context) (err error) {
	if err := w.readApplications(ctx, w.domain); err != nil {
		return err
	}
	if w.files, err = w.domain.Files(ctx); errors.Is(err, gp.ErrIncomplete) {
		w.cut, err = true, nil
	}
	if err != nil {
		return err
	}
	if w.cut {
		if err := w.lookUp(ctx, w.domain, w.plan.Package.AID); err != nil {
			return err
		}
	}
	w.looked = true
	file := find(w.files, w.plan.Package.AID)
	if file == nil && !w.cut {
		return problem.New(problem.NotFound, "the package %s is not on the card", w.plan.Package.AID).Advise(advice.Do(advice.ListApplets))
	}
	if file != nil && len(file.Version) == 2 {
		w.plan.Package.Version = Version{file.Version[0], file.Version[1]}
	}
	for _, i := range w.plan.Instances {
		if file != nil && len(file.Modules) > 0 && !slices.ContainsFunc(file.Modules, i.Applet.Equal) {
			return problem.New(problem.NotFound, "the package %s has no applet %s", file.AID, i.Applet).
				Because("Applets: %s.", aids(file.Modules)).Advise(advice.Do(advice.ListApplets))
		}
		if find(w.applications, i.AID) != nil || find(w.files, i.AID) != nil {
			return problem.New(problem.Refused, "something on the card already has the AID %s", i.AID).
				Because("On a card, every AID is unique.").Advise(advice.Repeat(advice.Fill(advice.Instance)))
		}
	}
	return nil
}
