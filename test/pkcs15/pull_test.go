//go:build stack

package pkcs15

import (
	"errors"
	"os"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// PULL_EVERY in the environment has the card pulled out at every command through
// the PC/SC daemon too, both before the card saw it and before its answer was
// read.
func everyPull() bool { return os.Getenv("PULL_EVERY") != "" }

func TestTheCardPulledOnTheWay(t *testing.T) { pullOut(t, "pkcs15", workflows) }

// pullOut pulls out a card with an application.
func pullOut(t *testing.T, application string, list []workflow) {
	for _, w := range list {
		t.Run(w.name, func(t *testing.T) {
			b := benchWithoutCard(t)
			if application == myEID {
				b.ofMyEID()
			}
			c := b.newPulledCard(application)
			leave := c.insert()
			j := w.before(b)
			leave()
			c.start = c.state()
			if w.direct {
				c.inProcess = true
				c.pullAll(w, j, 1)
				c.inProcess = false
			}
			stride := w.stride
			if everyPull() {
				stride = 1
			}
			c.pullAll(w, j, stride)
		})
	}
}

// wasRemoved is an error as it should be where the card is gone: a problem has
// the code for it.
func wasRemoved(err error) bool {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Code == problem.CardRemoved
	}
	return errors.Is(err, iso7816.ErrCardRemoved)
}

// pullAll pulls the card out of a workflow, from its first command to its last.
func (c *pulledCard) pullAll(w workflow, j job, stride int) {
	c.t.Helper()
	before := []func(int) cardsim.Fault{cardsim.RemoveBefore}
	after := []func(int) cardsim.Fault{cardsim.RemoveAfter}
	both := append(before, after...)
	points, recovered := 0, 0
	for n, whole := 1, false; !whole; n += stride {
		moments := both
		if stride > 1 {
			moments = before
			if n%4 == 3 {
				moments = after
			}
		}
		for i, moment := range moments {
			c.restore(c.start)
			done, ok := c.pull(w, j, n, moment(n), i)
			whole = whole || done
			if !done {
				points++
			}
			if ok && !done {
				recovered++
			}
		}
	}
	c.report(w, points, recovered)
}

// pull pulls the card out at one command, and reports whether the work was done
// before, and whether all is well afterwards.
func (c *pulledCard) pull(w workflow, j job, n int, fault cardsim.Fault, moment int) (whole, recovered bool) {
	c.t.Helper()
	failed := func(what string, err error) bool {
		if err != nil {
			c.t.Errorf("pulled at %d (%d): %s: %v", n, moment, what, err)
		}
		return err != nil
	}
	leave := c.insert(fault)
	err := j.do()
	leave()
	switch {
	case err == nil && !c.removed:
		return true, true
	case err == nil: // the last answer, which nobody needed
	case !wasRemoved(err):
		failed("the reason", err)
		return false, false
	}
	pulled := c.state()

	leave = c.insert()
	info, err := c.info()
	bad := failed("info", err)
	if j.kept != nil {
		bad = failed("what was there", j.kept(info)) || bad
	}
	bad = failed("the same again", j.do()) || bad
	if j.done != nil {
		bad = failed("after the same again", j.done()) || bad
	}
	// What takes longest is looked at once in the normal run.
	byInit := !c.inProcess && (w.erases || n == 1+w.stride || everyPull())
	if byInit && !w.erases {
		leave()
		c.restore(pulled)
		leave = c.insert()
		bad = failed("init", c.initOnce()) || bad
	}
	if byInit {
		bad = failed("gen-key after init", c.generateOnce("47")) || bad
	}
	leave()
	return false, !bad
}
