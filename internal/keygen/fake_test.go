package keygen

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

var made = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// fakeKey is a key slot in memory, whose fingerprints are counted up.
type fakeKey struct {
	key.Key
	occupant    *key.Occupant
	public      crypto.PublicKey
	certificate []byte
	did         []string

	// lie makes Import come back with another public key.
	lie crypto.PublicKey
	// fails is what Generate and Import come back with.
	fails error
}

func (k *fakeKey) Reference() key.Reference {
	return key.Reference{Family: "openpgp", ID: "3", Text: "OPENPGP.3"}
}

func (k *fakeKey) Occupant(ctx context.Context) (*key.Occupant, error) {
	return k.occupant, ctx.Err()
}

func (k *fakeKey) Public(context.Context) (crypto.PublicKey, error) { return k.public, nil }

func (k *fakeKey) Certificate(context.Context) ([]byte, error) {
	k.did = append(k.did, "certificate")
	return k.certificate, nil
}

func (k *fakeKey) Generate(_ context.Context, spec key.Spec) (*key.Generated, error) {
	k.did = append(k.did, "generate "+string(spec.Algorithm))
	if k.fails != nil {
		return nil, k.fails
	}
	if k.occupant == nil || !k.occupant.Unfinished {
		k.public = keys().fresh.Public()
	}
	return k.put(k.public), nil
}

func (k *fakeKey) Import(_ context.Context, private crypto.PrivateKey, _ key.Spec) (*key.Generated, error) {
	k.did = append(k.did, "import")
	if k.fails != nil {
		return nil, k.fails
	}
	k.public = private.(interface{ Public() crypto.PublicKey }).Public()
	if k.lie != nil {
		return k.put(k.lie), nil
	}
	return k.put(k.public), nil
}

func (k *fakeKey) Delete(context.Context) error {
	k.did = append(k.did, "delete")
	return k.fails
}

func (k *fakeKey) put(public crypto.PublicKey) *key.Generated {
	k.occupant = &key.Occupant{Fingerprint: newFingerprint, Algorithm: key.AlgorithmOf(public), Created: made}
	return &key.Generated{Occupant: *k.occupant, Public: public, Keygrip: key.Keygrip(public)}
}

const (
	oldFingerprint = "0123456789ABCDEF0123456789ABCDEF01234567"
	newFingerprint = "FEDCBA98765432100123456789ABCDEF01234567"
)

// keys are software keys for all tests: one that is on the card, one that
// comes to it.
var keys = sync.OnceValue(func() (k struct{ old, fresh *ecdsa.PrivateKey }) {
	for _, into := range []**ecdsa.PrivateKey{&k.old, &k.fresh} {
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		*into = made
	}
	return k
})

// occupied is a slot with the old key in it.
func occupied() *fakeKey {
	return &fakeKey{
		occupant: &key.Occupant{Fingerprint: oldFingerprint, Algorithm: key.P256, Created: made},
		public:   keys().old.Public(),
	}
}

// unfinished is a slot whose key an interrupted command left without a
// fingerprint.
func unfinished() *fakeKey {
	k := occupied()
	k.occupant.Unfinished = true
	return k
}

func typed(password string) secret.Asker {
	return func(context.Context, secret.Request) (*secret.Bytes, error) {
		return secret.New([]byte(password)), nil
	}
}

func nobody(context.Context, secret.Request) (*secret.Bytes, error) {
	return nil, problem.New(problem.Usage, "the password is missing")
}

func wantProblem(t *testing.T, err error, code problem.Code, words ...string) {
	t.Helper()
	if !problem.Is(err, code) {
		t.Fatalf("error %v, want a problem %s", err, code)
	}
	var p *problem.Error
	errors.As(err, &p)
	for _, w := range words {
		if text := fmt.Sprint(p, " ", p.Next, p.Unless); !strings.Contains(text, w) {
			t.Errorf("no %q in %q", w, text)
		}
	}
}
