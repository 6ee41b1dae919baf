//go:build cgo

package conformance

import (
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/certstore"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/softhsm"
)

// TestMeanwhile has another program work on the card while somebody thinks.
func TestMeanwhile(t *testing.T) {
	for _, kind := range append(kinds, strangers...) {
		for name, test := range map[string]func(*testing.T, *place){
			"a key that came is not overwritten":         cameMeanwhile,
			"a certificate is for the key that is there": replacedMeanwhile,
			"what came is not erased":                    erasedMeanwhile,
			"a key that came is not deleted":             deletedMeanwhile,
			"tries that are lost count":                  burntMeanwhile,
		} {
			if slices.Contains(kind.later, name) {
				continue
			}
			t.Run(kind.name+"/"+name, func(t *testing.T) { test(t, kind.make(t)) })
		}
	}
}

// other is the same place, at which another program works while somebody thinks.
func (p *place) other() *place {
	other := *p
	other.asked, other.meanwhile = nil, nil
	return &other
}

func wasRefused(t *testing.T, err error) {
	t.Helper()
	if !problem.Is(err, problem.Refused) && !problem.Is(err, problem.CardChanged) {
		t.Errorf("%v", err)
	}
}

// holds checks that the key with a fingerprint is there.
func (p *place) holds(t *testing.T, fingerprint string) {
	t.Helper()
	if o := occupant(t, p); o == nil || o.Fingerprint != fingerprint {
		t.Errorf("there is %+v, and was %s", o, fingerprint)
	}
}

func cameMeanwhile(t *testing.T, p *place) {
	there := ""
	p.meanwhile = func() { there = made(t, p.other()).Fingerprint }
	_, err := p.generate(t, "")
	wasRefused(t, err)
	p.holds(t, there)
	p.meanwhile = func() {
		report, err := p.other().generate(t, there)
		if err != nil {
			t.Fatal(err)
		}
		there = report.Fingerprint
	}
	_, err = p.generate(t, there)
	wasRefused(t, err)
	p.holds(t, there)
}

func replacedMeanwhile(t *testing.T, p *place) {
	first := made(t, p)
	ca := softhsm.NewCA(t, "Snake Oil CA")
	leaf := ca.Issue(t, public(t, p), nil)
	p.meanwhile = func() {
		if _, err := p.other().generate(t, first.Fingerprint); err != nil {
			t.Fatal(err)
		}
	}
	_, err := certstore.Import(t.Context(), p.desk, p.access(), p.ref, certs.All(t, leaf), certstore.Options{Now: time.Now()})
	wasRefused(t, err)
	if _, _, err := certstore.Export(t.Context(), p.desk, p.access(), p.ref); !problem.Is(err, problem.NotFound) {
		t.Errorf("the certificate of the key before is there: %v", err)
	}
}

func erasedMeanwhile(t *testing.T, p *place) {
	there := ""
	p.meanwhile = func() { there = made(t, p.other()).Fingerprint }
	on := *p.desk
	on.Meant.App = p.app
	p.allow.UnknownTries = true
	_, err := cardinit.Initialise(t.Context(), &on, p.access(), cardinit.Options{Label: p.label})
	wasRefused(t, err)
	p.holds(t, there)
}

func deletedMeanwhile(t *testing.T, p *place) {
	there := made(t, p).Fingerprint
	named := there
	p.meanwhile = func() {
		report, err := p.other().generate(t, named)
		if err != nil {
			t.Fatal(err)
		}
		there = report.Fingerprint
	}
	if _, err := keygen.Delete(t.Context(), p.desk, p.access(), p.ref, named); !problem.Is(err, problem.NotSupported) {
		wasRefused(t, err)
	}
	p.holds(t, there)
}

func burntMeanwhile(t *testing.T, p *place) {
	if p.endless {
		return // a mistake costs nothing
	}
	made(t, p)
	there := occupant(t, p).Fingerprint
	spend := func(p *place) error { return p.sign(t) }
	if p.algorithm != "" { // nothing stands in for the program that signs
		spend = func(p *place) error { _, err := p.generate(t, there); return err }
	}
	p.meanwhile = func() {
		for n, _ := p.left(t).Count(); n > 1; n-- {
			if err := spend(p.other().with(wrongPIN)); !problem.Is(err, problem.PINIncorrect) {
				t.Fatal(err)
			}
		}
	}
	if err := spend(p); !problem.Is(err, problem.PINBlocked) {
		t.Errorf("%v", err)
	}
	if left := p.left(t); !left.Last() {
		t.Errorf("%+v are left", left)
	}
}
