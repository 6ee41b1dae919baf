//go:build stack

package pkcs15

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/certstore"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// workflow is something that is done with a card, during which it is pulled out.
type workflow struct {
	name string
	// before brings the card to where it is, and returns what is done with it.
	before func(b *bench) job
	// stride is how far it is from one pull to the next, odd, where not every
	// one is tried: each takes the PC/SC daemon its time to notice.
	stride int
	// direct says that no other program takes part, so that it works on a card
	// in process too.
	direct bool
	// erases says that the workflow is init.
	erases bool
}

type job struct {
	do func() error
	// kept is what has to be true wherever the card was pulled out.
	kept func(inventory.Info) error
	// done is what has to be true when the same was done again.
	done func() error
}

var workflows = []workflow{
	{name: "init of a blank card", before: blank, stride: 9, erases: true},
	{name: "init of a used card", before: used, stride: 17, erases: true},
	{name: "gen-key", before: genKey, stride: 9},
	{name: "gen-key beside a key with a certificate", before: genKeyBeside, stride: 23},
	{name: "import-key", before: importKey, stride: 17},
	{name: "info", before: infoOnly, stride: 5, direct: true},
	{name: "gen-csr", before: genCSR, stride: 5, direct: true},
	{name: "import-cert", before: importCert, stride: 11, direct: true},
	{name: "import-cert in the place of another", before: replaceCert, stride: 13, direct: true},
	{name: "delete-cert", before: deleteCert, stride: 7, direct: true},
	{name: "delete-key", before: deleteKey, stride: 29},
	{name: "set-pin user", before: setPIN, stride: 3, direct: true},
	{name: "unblock-pin user", before: unblockPIN, stride: 3, direct: true},
}

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

// attempt does something with the card that may fail, and lets the card go.
func (b *bench) attempt(work func(context.Context, *pkcs15.Card) error) error {
	card, err := pkcs15.Open(b.t.Context(), b.at(), b.tools)
	if err == nil {
		err = work(b.t.Context(), card)
	}
	return errors.Join(err, b.at().Release())
}

func (b *bench) attemptKey(id string, work func(context.Context, key.Key) error) error {
	return b.attempt(func(ctx context.Context, card *pkcs15.Card) error {
		k, _, err := key.OpenPKCS15(ctx, card, key.Reference{Application: key.PKCS15, ID: id}, b.access())
		if err != nil {
			return err
		}
		return work(ctx, k)
	})
}

func yes(context.Context, string) error { return nil }

func (b *bench) initOnce() error {
	return b.attempt(func(ctx context.Context, card *pkcs15.Card) error {
		_, err := cardinit.InitialisePKCS15(ctx, card, cardinit.Options{Label: "desk", Access: b.access(), Confirm: yes})
		return err
	})
}

func (b *bench) generateOnce(id string) error {
	return b.attemptKey(id, func(ctx context.Context, k key.Key) error {
		_, err := keygen.Generate(ctx, k, keygen.Options{Spec: key.Spec{Label: "vpn"}})
		if problem.Is(err, problem.Refused) {
			return nil // it was complete when the card was pulled out
		}
		return err
	})
}

func (b *bench) certificateOnce(id string, certificate *x509.Certificate) error {
	return b.attemptKey(id, func(ctx context.Context, k key.Key) error {
		_, err := certstore.Import(ctx, k, []*x509.Certificate{certificate}, certstore.Options{Now: certificate.NotBefore, Confirm: yes})
		return err
	})
}

// signs has a key sign a digest, which is checked.
func (b *bench) signs(id string) error {
	return b.attemptKey(id, signOnce)
}

func blank(b *bench) job { return job{do: b.initOnce} }

func used(b *bench) job {
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{})
	return job{do: b.initOnce}
}

func genKey(b *bench) job {
	b.mustInit()
	return job{
		do:   func() error { return b.generateOnce("45") },
		done: func() error { return b.signs("45") },
	}
}

func genKeyBeside(b *bench) job {
	b.mustInit()
	b.generate("PKCS15.46", key.Spec{})
	certificate := b.issue("PKCS15.46")
	if _, err := b.importCertificate("PKCS15.46", certificate); err != nil {
		b.t.Fatal(err)
	}
	return job{
		do:   func() error { return b.generateOnce("45") },
		kept: func(i inventory.Info) error { return hasCertificate(i, "PKCS15.46", certificate) },
		done: func() error { return errors.Join(b.signs("45"), b.signs("46")) },
	}
}

func importKey(b *bench) job {
	b.mustInit()
	return job{
		do: func() error {
			return b.attemptKey("45", func(ctx context.Context, k key.Key) error {
				_, err := keygen.Import(ctx, k, broughtKey(), keygen.Options{})
				return err
			})
		},
		done: func() error { return b.signs("45") },
	}
}

func withKey(b *bench) {
	b.mustInit()
	b.generate("PKCS15.45", key.Spec{Label: "vpn"})
}

func infoOnly(b *bench) job {
	withKey(b)
	if _, err := b.importCertificate("PKCS15.45", b.issue("PKCS15.45")); err != nil {
		b.t.Fatal(err)
	}
	return job{do: func() error {
		_, err := b.info()
		return err
	}}
}

func genCSR(b *bench) job {
	withKey(b)
	return job{do: func() error { return b.signs("45") }}
}

func importCert(b *bench) job {
	withKey(b)
	certificate := b.issue("PKCS15.45")
	return job{
		do:   func() error { return b.certificateOnce("45", certificate) },
		done: func() error { return b.infoHas("PKCS15.45", certificate) },
	}
}

func replaceCert(b *bench) job {
	withKey(b)
	first, second := b.issue("PKCS15.45"), b.issue("PKCS15.45")
	if _, err := b.importCertificate("PKCS15.45", first); err != nil {
		b.t.Fatal(err)
	}
	return job{
		do:   func() error { return b.certificateOnce("45", second) },
		kept: func(i inventory.Info) error { return hasCertificate(i, "PKCS15.45", first, second) },
		done: func() error { return b.infoHas("PKCS15.45", second) },
	}
}

func deleteCert(b *bench) job {
	withKey(b)
	if _, err := b.importCertificate("PKCS15.45", b.issue("PKCS15.45")); err != nil {
		b.t.Fatal(err)
	}
	return job{
		do: func() error {
			return b.attemptKey("45", func(ctx context.Context, k key.Key) error {
				_, err := certstore.Delete(ctx, k, yes)
				return unlessGone(err)
			})
		},
		done: func() error { return b.signs("45") },
	}
}

func deleteKey(b *bench) job {
	withKey(b)
	return job{do: func() error {
		return b.attemptKey("45", func(ctx context.Context, k key.Key) error { return unlessGone(k.Delete(ctx)) })
	}}
}

// unlessGone is no error where what was to be removed had gone when the card was
// pulled out.
func unlessGone(err error) error {
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

func setPIN(b *bench) job {
	withKey(b)
	return job{
		do: func() error {
			b.pins[secret.PIN] = userPIN
			return b.attempt(func(ctx context.Context, card *pkcs15.Card) error {
				_, err := cardinit.SetPKCS15PIN(ctx, card, cardinit.User, b.access())
				if problem.Is(err, problem.PINIncorrect) {
					return nil // it was the new one when the card was pulled out
				}
				return err
			})
		},
		done: func() error {
			b.pins[secret.PIN] = newPIN
			defer func() { b.pins[secret.PIN] = userPIN }()
			return b.signs("45")
		},
	}
}

func unblockPIN(b *bench) job {
	withKey(b)
	return job{
		do: func() error {
			return b.attempt(func(ctx context.Context, card *pkcs15.Card) error {
				_, err := cardinit.UnblockPKCS15PIN(ctx, card, cardinit.User, secret.PUK, b.access())
				return err
			})
		},
		done: func() error {
			b.pins[secret.PIN] = newPIN
			defer func() { b.pins[secret.PIN] = userPIN }()
			return b.signs("45")
		},
	}
}

func (b *bench) info() (info inventory.Info, err error) {
	err = b.attempt(func(ctx context.Context, card *pkcs15.Card) error { return inventory.InspectPKCS15(ctx, card, &info) })
	return info, err
}

func (b *bench) infoHas(ref string, certificate *x509.Certificate) error {
	info, err := b.info()
	return errors.Join(err, hasCertificate(info, ref, certificate))
}

// hasCertificate wants one of these certificates to be on the card.
func hasCertificate(info inventory.Info, ref string, any ...*x509.Certificate) error {
	for _, there := range info.Certificates {
		for _, certificate := range any {
			if there.Ref == ref && bytes.Equal(there.Value, certificate.Raw) {
				return nil
			}
		}
	}
	return fmt.Errorf("the certificate of %s is lost: %d certificates are there", ref, len(info.Certificates))
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
	if !w.erases && !c.inProcess {
		leave()
		c.restore(pulled)
		leave = c.insert()
		bad = failed("init", c.initOnce()) || bad
	}
	if !c.inProcess {
		bad = failed("gen-key after init", c.generateOnce("47")) || bad
	}
	leave()
	return false, !bad
}
