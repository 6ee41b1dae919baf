package opensc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/opensc"
)

// first are the secrets of a kind of card.
func first(application string) pkcs15.First {
	if application == "" {
		return pkcs15.First{PIN: secret.New([]byte("135790"))}
	}
	f := pkcs15.First{Label: "desk", Serial: "0102030405060708", PIN: secret.New([]byte("246813")), PUK: secret.New([]byte("1234567890123456"))}
	if application == "myeid" {
		f.PUK, f.SOPIN = secret.New([]byte("12345678")), secret.New([]byte("87654321"))
	}
	return f
}

var broughtRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

var broughtEC = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// job is something that a workflow has OpenSC's programs do.
type job struct {
	name string
	do   func(ctx context.Context, c *pkcs15.Card, application string) error
	// code is how it fails; empty where it does not.
	code problem.Code
}

// wrongly does a job with another PIN.
func wrongly(j job) job {
	return job{j.name + " with a wrong PIN", func(ctx context.Context, c *pkcs15.Card, _ string) error {
		return j.do(ctx, c, "")
	}, problem.PINIncorrect}
}

func newKey(ctx context.Context, c *pkcs15.Card, id byte, usage ...string) (pkcs15.NewKey, error) {
	p, err := c.PINFor(ctx, []byte{id}, false)
	if err == nil {
		err = asked(ctx, c)
	}
	return pkcs15.NewKey{ID: []byte{id}, Label: "Key", Usage: usage, PIN: p}, err
}

func generate(id byte, algorithm string, usage ...string) job {
	return job{name: "generate " + algorithm, do: func(ctx context.Context, c *pkcs15.Card, application string) error {
		k, err := newKey(ctx, c, id, usage...)
		if err != nil {
			return err
		}
		k.Algorithm = algorithm
		return c.GenerateKey(ctx, k, first(application).PIN)
	}}
}

func store(id byte, key func() crypto.Signer, usage ...string) job {
	return job{name: "store", do: func(ctx context.Context, c *pkcs15.Card, application string) error {
		k, err := newKey(ctx, c, id, usage...)
		if err != nil {
			return err
		}
		return c.StoreKey(ctx, k, key(), first(application).PIN)
	}}
}

func remove(id byte) job {
	return job{name: "remove", do: func(ctx context.Context, c *pkcs15.Card, application string) error {
		p, err := c.PINFor(ctx, []byte{id}, false)
		if err != nil {
			return err
		}
		return c.DeleteObjects(ctx, pkcs15.KindKey, []byte{id}, p, first(application).PIN)
	}}
}

// create makes the structure, or makes it anew.
var create = job{name: "create", do: func(ctx context.Context, c *pkcs15.Card, application string) error {
	f := first(application)
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	f.Current = f.SOPIN
	if err := errors.Join(c.Prepare(ctx, s), c.Create(ctx, s, f, func(string) {})); err != nil {
		return err
	}
	return c.Check(ctx, f)
}}

func anRSAKey() crypto.Signer { return broughtRSA() }
func anECKey() crypto.Signer  { return broughtEC() }

// jobs are in an order in which places and references become free and are taken
// again.
var jobs = []job{
	create,
	wrongly(generate(0x45, "rsa2048", "sign")), wrongly(store(0x45, anRSAKey, "sign")),
	generate(0x45, "rsa2048", "sign", "decrypt"), generate(0x46, "p256", "sign"),
	store(0x47, anRSAKey, "sign", "decrypt"), wrongly(remove(0x45)), remove(0x45), store(0x48, anECKey, "sign", "derive"),
	generate(0x49, "rsa2048", "sign"), remove(0x49), remove(0x47), create, store(0x45, anRSAKey, "decrypt"),
}

var applications = []string{"pkcs15", "myeid"}

// do does a job as a command does.
func do(ctx context.Context, j job, application string, open func() (*pkcs15.Card, error)) error {
	c, err := open()
	if err != nil {
		return err
	}
	return errors.Join(j.do(ctx, c, application), c.Close())
}

// TestJobs does all of them in process, and looks what is on the card.
func TestJobs(t *testing.T) {
	for _, application := range applications {
		card, err := cardsim.NewCard(cardsim.Options{Applications: []string{application}})
		if err != nil {
			t.Fatal(err)
		}
		desk := opensc.NewDesk(card)
		open := func() (*pkcs15.Card, error) { return desk.Open(t.Context()) }
		want := [][]byte{{}, {}, {}, {0x45}, {0x45, 0x46}, {0x45, 0x46, 0x47}, {0x45, 0x46, 0x47}, {0x46, 0x47}, {0x46, 0x47, 0x48}, {0x46, 0x47, 0x48, 0x49}, {0x46, 0x47, 0x48}, {0x46, 0x48}, {}, {0x45}}
		for i, j := range jobs {
			if err := do(t.Context(), j, application, open); j.code == "" && err != nil || j.code != "" && !problem.Is(err, j.code) {
				t.Fatalf("%s: %d, %s: %v", application, i, j.name, err)
			}
			c, err := open()
			if err != nil {
				t.Fatal(err)
			}
			d, err := c.Directory(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ids := []byte{}
			for _, k := range d.Keys {
				ids = append(ids, k.ID...)
				if public, err := c.PublicKey(t.Context(), k.ID); public == nil || err != nil || d.PublicKey(k.ID) == nil {
					t.Errorf("%s: %d, %s: key %X: %v", application, i, j.name, k.ID, err)
				}
			}
			slices.Sort(ids)
			if !slices.Equal(ids, want[i]) {
				t.Errorf("%s: %d, %s: keys %X, want %X", application, i, j.name, ids, want[i])
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
