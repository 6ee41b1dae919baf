package applet

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

// DeleteOptions is what Delete shall do.
type DeleteOptions struct {
	Access Access
	AID    gp.AID

	// WithApplets deletes what was installed from a package with it.
	WithApplets bool

	// Confirm asks before anything is deleted; an error from it ends the
	// work. nil asks nobody.
	Confirm func(ctx context.Context, question string) error
}

// Deletion is what Delete did: what is gone, in order.
type Deletion struct {
	Deleted []gp.AID `json:"deleted"`
}

// Delete removes an application, or a package. Nothing goes that was not
// named: a package with instances needs WithApplets. After it, the card does
// not have what was deleted.
func Delete(ctx context.Context, o DeleteOptions) (*Deletion, error) {
	const what = "applet delete"
	if err := o.AID.Check(); err != nil {
		return nil, problem.Wrap(problem.Usage, err, what)
	}
	c, err := connect(ctx, o.Access)
	if err != nil {
		return nil, explain(err, what, "Nothing on the card was changed.")
	}
	defer c.close()
	w := &deletion{card: c, o: o, done: &Deletion{Deleted: []gp.AID{}}, state: "Nothing on the card was changed."}
	return w.done, explain(w.run(ctx), what, w.state)
}

// deletion is one run of Delete.
type deletion struct {
	*card
	o     DeleteOptions
	done  *Deletion
	state string
}

func (w *deletion) run(ctx context.Context) (err error) {
	r := &registry{}
	if r.applications, err = w.domain.Status(ctx, gp.Application, nil); err != nil {
		return err
	}
	if r.files, err = w.domain.Status(ctx, gp.LoadFile, nil); err != nil {
		return err
	}
	victims, related, err := w.victims(r)
	if err != nil {
		return err
	}
	if w.o.Confirm != nil {
		question := fmt.Sprintf("Delete %s from the card?", aids(victims))
		if related {
			question = fmt.Sprintf("Delete the package %s and everything that was installed from it?", w.o.AID)
		}
		if err := w.o.Confirm(ctx, question); err != nil {
			return err
		}
	}
	for _, aid := range victims {
		if err := w.domain.Delete(ctx, aid, related); err != nil {
			return err
		}
		w.done.Deleted = append(w.done.Deleted, aid)
		w.state = fmt.Sprintf("%s is deleted.", aids(w.done.Deleted))
	}
	return w.verify(ctx, find(r.files, w.o.AID) != nil)
}

// victims are what has to be deleted, in order; related says that the card has
// to find the instances of the package itself, because it does not tell them.
func (w *deletion) victims(r *registry) (victims []gp.AID, related bool, err error) {
	if w.o.AID.Equal(w.domain.AID()) {
		return nil, false, problem.New(problem.Refused, "%s is the security domain itself", w.o.AID)
	}
	if find(r.applications, w.o.AID) != nil {
		return []gp.AID{w.o.AID}, false, nil
	}
	if find(r.files, w.o.AID) == nil {
		return nil, false, problem.New(problem.NotFound, "the card has no application and no package %s", w.o.AID).
			Hint("cardctl applet list")
	}
	instances, told := r.instancesOf(w.o.AID)
	if len(instances) > 0 && !w.o.WithApplets {
		return nil, false, problem.New(problem.Refused, "the package %s has instances", w.o.AID).
			Because("They are %s.", aids(instances)).
			Hint("--with-applets")
	}
	if w.o.WithApplets && !told {
		return []gp.AID{w.o.AID}, true, nil
	}
	return append(instances, w.o.AID), false, nil
}

// verify reads back that it is gone.
func (w *deletion) verify(ctx context.Context, file bool) error {
	kind := gp.Application
	if file {
		kind = gp.LoadFile
	}
	entries, err := w.domain.Status(ctx, kind, w.o.AID)
	if err == nil && find(entries, w.o.AID) != nil {
		err = problem.New(problem.Failed, "the card confirmed the deletion and still has %s", w.o.AID)
	}
	return err
}
