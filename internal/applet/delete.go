package applet

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

// DeleteOptions is what Delete shall do.
type DeleteOptions struct {
	Domain Domain
	AID    gp.AID

	// WithApplets deletes what was installed from a package with it.
	WithApplets bool

	// KeyVersion deletes the card keys of a version, 1 to 127, instead of something
	// with an AID; 0 for not.
	KeyVersion byte
}

// Deletion is what Delete did: what is gone, in order.
type Deletion struct {
	Reader  string   `json:"reader"`
	Deleted []gp.AID `json:"deleted"`

	// KeyVersion is the version of the card keys that are gone, 0 for none.
	KeyVersion byte `json:"keyVersion,omitempty"`
}

// Delete removes an application, or a package, from the card that is meant. Nothing goes that was not
// named: a package with instances needs WithApplets. After it, the card does
// not have what was deleted.
func Delete(ctx context.Context, d *desk.Desk, a desk.Access, o DeleteOptions) (*Deletion, error) {
	const what = "applet delete"
	if o.KeyVersion == 0 {
		if err := o.AID.Check(); err != nil {
			return nil, problem.Wrap(problem.Usage, err, what)
		}
	}
	done := &Deletion{Deleted: []gp.AID{}}
	return done, withCard(ctx, d, a, o.Domain, func(ctx context.Context, c *card) error {
		done.Reader = c.at.Place
		if o.KeyVersion != 0 {
			w := &keyDeletion{card: c, version: o.KeyVersion, state: unchanged}
			err := w.run(ctx)
			if err == nil {
				done.KeyVersion = o.KeyVersion
			}
			return explain(err, what, w.state)
		}
		w := &deletion{card: c, o: o, done: done, state: unchanged}
		err := w.run(ctx)
		return explain(err, what, w.state)
	})
}

// deletion is one run of Delete.
type deletion struct {
	*card
	o     DeleteOptions
	done  *Deletion
	state string

	registry          // what is on the card
	victims  []gp.AID // what has to be deleted, in order
	related  bool     // the card has to find the instances of the package itself
}

func (w *deletion) run(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.confirm(ctx, w.look); err != nil {
		return err
	}
	for _, aid := range w.victims {
		known, err := w.delete(ctx, w.kindOf(aid), aid, w.related)
		if err != nil {
			if !known {
				w.state = problem.Sentences(deleted(w.done.Deleted), mayBeDeleted(aid))
			}
			return err
		}
		w.done.Deleted = append(w.done.Deleted, aid)
		w.state = deleted(w.done.Deleted)
	}
	return w.verify(ctx)
}

// look reads what is on the card, finds what has to be deleted, and words the
// question.
func (w *deletion) look(ctx context.Context) (_ wording, err error) {
	if err := w.readApplications(ctx, w.domain); err != nil {
		return nil, err
	}
	if err := w.readFiles(ctx, w.domain); err != nil {
		return nil, err
	}
	if w.cut {
		if err := w.lookUp(ctx, w.domain, w.o.AID); err != nil {
			return nil, err
		}
	}
	if w.victims, w.related, err = w.choose(); err != nil {
		return nil, err
	}
	what := aids(w.victims)
	if w.related {
		what = fmt.Sprintf("the package %s and everything installed from it", w.o.AID)
	}
	lost := "The keys and data in it will be lost."
	if w.cut {
		lost += " The card's list of its contents is cut off."
	}
	return func(card string) advice.Question {
		return advice.Question{Deed: "Delete " + what + " from", Subject: card, Lost: lost}
	}, nil
}

// kindOf is where the card lists something: a package that has the AID of an
// application is not what was named.
func (w *deletion) kindOf(aid gp.AID) gp.Kind {
	if find(w.applications, aid) != nil {
		return gp.Application
	}
	return gp.LoadFile
}

// choose finds what has to be deleted, in order; related says that the card has
// to find the instances of the package itself, because it does not tell them.
func (w *deletion) choose() (victims []gp.AID, related bool, err error) {
	if w.o.AID.Equal(w.domain.AID()) {
		return nil, false, problem.New(problem.Refused, "%s is the security domain itself", w.o.AID).
			Because("Without its security domain, a card cannot be managed.").Advise(advice.Do(advice.ListApplets))
	}
	if find(w.applications, w.o.AID) != nil {
		return []gp.AID{w.o.AID}, false, nil
	}
	if find(w.files, w.o.AID) == nil && w.cut {
		return []gp.AID{w.o.AID}, w.o.WithApplets, nil // the card decides whether it has that
	}
	if find(w.files, w.o.AID) == nil {
		return nil, false, problem.New(problem.NotFound, "the card has no application or package %s", w.o.AID).
			Advise(advice.Do(advice.ListApplets))
	}
	instances, told := w.instancesOf(w.o.AID)
	if len(instances) > 0 && !w.o.WithApplets {
		return nil, false, problem.New(problem.Refused, "the package %s has instances", w.o.AID).
			Because("Applications installed from it: %s.", aids(instances)).
			Advise(advice.Do(advice.ListApplets)).AllowedBy(advice.Switch(advice.WithApplets))
	}
	if w.o.WithApplets && !told {
		return []gp.AID{w.o.AID}, true, nil
	}
	return append(instances, w.o.AID), false, nil
}

// verify reads back that it is gone.
func (w *deletion) verify(ctx context.Context) error {
	entries, err := w.read(ctx, w.domain, w.kindOf(w.o.AID), w.o.AID)
	if err == nil && find(entries, w.o.AID) != nil {
		err = problem.New(problem.Failed, "the card confirmed the deletion and still has %s", w.o.AID).Advise(advice.Do(advice.ListApplets))
	}
	return err
}
