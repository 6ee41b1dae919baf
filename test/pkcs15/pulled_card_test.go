//go:build stack

package pkcs15

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/stack"
)

// pulledCard is a card of a store, which comes into the reader and goes.
type pulledCard struct {
	*bench
	dir   string
	store *cardsim.Store
	start []byte // the state in which a workflow begins
	// inProcess is a card that no reader has.
	inProcess bool
}

func (b *bench) newPulledCard(application string) *pulledCard {
	b.t.Helper()
	dir := b.desk.Path("cards")
	c := &pulledCard{bench: b, dir: dir, store: cardsim.NewStore(dir)}
	if err := c.store.Create("pulled", cardsim.Options{Applications: []string{application}}); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// file is where the store keeps the state of the card.
func (c *pulledCard) file() string {
	files, err := filepath.Glob(filepath.Join(c.dir, "pulled*.json"))
	if err != nil || len(files) != 1 {
		c.t.Fatal(files, err)
	}
	return files[0]
}

func (c *pulledCard) state() []byte {
	c.t.Helper()
	state, err := os.ReadFile(c.file())
	if err != nil {
		c.t.Fatal(err)
	}
	return state
}

func (c *pulledCard) restore(state []byte) {
	c.t.Helper()
	if err := os.WriteFile(c.file(), state, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// insert puts the card into the reader, or makes it usable in process, until
// the function that it returns is called, or the fault comes.
func (c *pulledCard) insert(faults ...cardsim.Fault) (leave func()) {
	c.t.Helper()
	card, err := c.store.Open("pulled", faults...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.removed = false
	if c.inProcess {
		c.local = card
		return func() {
			c.local = nil
			if err := card.Close(); err != nil {
				c.t.Error(err)
			}
		}
	}
	pull := c.line.Insert(card)
	return func() {
		c.t.Helper()
		c.removed = pull()
		if err := card.Close(); err != nil {
			c.t.Error(err)
		}
	}
}

// report tells how many pulls there were, and how many were recovered from.
func (c *pulledCard) report(w workflow, points, recovered int) {
	c.t.Helper()
	way := "daemon"
	if c.inProcess {
		way = "in-process"
	}
	stack.Held(c.t, "pulled out", "PKCS#15", w.name, way, points, recovered)
}

// broughtKey is a key that was made elsewhere.
var broughtKey = sync.OnceValue(func() *rsa.PrivateKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return private
})

// signOnce has a key sign a digest, and checks the signature.
func signOnce(ctx context.Context, k key.Key) error {
	signer, err := k.Signer(ctx)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("from the desk"))
	signature, err := signer.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	switch public := signer.Public().(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature)
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(public, digest[:], signature) {
			return nil
		}
	}
	return problem.New(problem.Mismatch, "the signature does not verify")
}
