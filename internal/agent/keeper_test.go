package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// bench is a simulated card with keys, and who is asked for its PIN.
type bench struct {
	*Keeper
	t     *testing.T
	trace *bytes.Buffer

	mu    sync.Mutex
	asked []secret.Request
	pin   string // that a person gives
}

func newBench(t *testing.T, app string, references ...string) *bench {
	t.Helper()
	dir := t.TempDir()
	options := cardsim.Options{Applications: []string{app}, Serial: "12345678"}
	if err := cardsim.NewStore(dir).Create("desk", options); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, pin: "123456", trace: &bytes.Buffer{}}
	d := &desk.Desk{
		Simulated: &desk.SimulatedStore{Dir: func() (string, error) { return dir, nil }},
		Meant:     desk.Selection{Reader: "sim:desk"}, Identify: family.Serials,
		StateDir: func() (string, error) { return dir, nil },
	}
	making := desk.Access{Now: time.Now, Notify: func(string) {}, Ask: func(_ context.Context, q secret.Request) (*secret.Bytes, error) {
		switch q.Name {
		case secret.AdminPIN:
			return secret.New([]byte("12345678")), nil
		case secret.ManagementKey:
			return secret.New([]byte("010203040506070801020304050607080102030405060708")), nil
		}
		return secret.New([]byte("123456")), nil
	}}
	for _, ref := range references {
		err := family.WithKey(t.Context(), d, ref, making, func(ctx context.Context, _ family.At, k key.Key) error {
			_, err := k.Generate(ctx, key.Spec{Algorithm: "p256"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	d.Trace = b.trace
	b.Keeper = New(Options{
		Desk: d, Cache: time.Minute, Idle: time.Hour,
		Access: desk.Access{Now: time.Now, Notify: func(string) {}, Ask: b.ask},
		Log:    func(err error) { t.Log(err) },
	})
	return b
}

func (b *bench) start() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = b.Run(ctx); close(done) }()
	b.t.Cleanup(func() { stop(); <-done })
	for b.Version() == 0 {
		time.Sleep(time.Millisecond)
	}
}

func (b *bench) ask(_ context.Context, q secret.Request) (*secret.Bytes, error) {
	if q.Waiting != nil {
		if err := q.Waiting(); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, q)
	return secret.New([]byte(b.pin)), nil
}

func (b *bench) questions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.asked)
}

// key is the only token's key with a reference.
func (b *bench) key(ref string) Key {
	b.t.Helper()
	all, err := b.All(b.t.Context())
	if err != nil || len(all) != 1 {
		b.t.Fatalf("%d tokens, %v", len(all), err)
	}
	keys, err := all[0].Keys(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, k := range keys {
		if k.About().Ref == ref {
			return k
		}
	}
	b.t.Fatalf("no %s among %d keys", ref, len(keys))
	return nil
}

// sign makes a signature, and returns how many commands the card got for it.
func (b *bench) sign(k Key) (apdus int, err error) {
	b.t.Helper()
	before := b.Status()[0].APDUs
	digest := sha256.Sum256([]byte("a message"))
	signature, err := k.Sign(b.t.Context(), Client{Door: "test", Name: "judge", PID: 7}, digest[:], crypto.SHA256)
	if err == nil && !ecdsa.VerifyASN1(k.About().Public.(*ecdsa.PublicKey), digest[:], signature) {
		b.t.Error("a wrong signature")
	}
	return b.Status()[0].APDUs - before, err
}

// The PIN is asked for once, and a signature costs one command, or two where the key wants the
// PIN for each; after the card was let go at most four.
func TestOnePINForAll(t *testing.T) {
	for ref, want := range map[string]struct {
		app         string
		each, again int
	}{
		"OPENPGP.3": {"openpgp", 1, 4}, "OPENPGP.1": {"openpgp", 2, 4},
		// A PIV card tells its serial, its key and the tries left one by one.
		"PIV.9A": {"piv", 1, 6}, "PIV.9C": {"piv", 2, 6},
	} {
		{
			t.Run(ref, func(t *testing.T) {
				b := newBench(t, want.app, ref)
				b.Keeper.o.CacheAlways = true
				b.start()
				k := b.key(ref)
				t.Log("read with", b.Status()[0].APDUs)
				if _, err := b.sign(k); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					if n, err := b.sign(k); n > want.each || err != nil {
						t.Errorf("%d commands, %v", n, err)
					}
				}
				b.trace.Reset()
				if err := b.Release(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
				if n, err := b.sign(k); n > want.again || err != nil {
					t.Errorf("%d commands after it was let go, %v\n%s", n, err, b.trace)
				}
				if n := b.questions(); n != 1 {
					t.Errorf("%d questions", n)
				}
				if note := b.asked[0].Note; !strings.Contains(note, "judge (process 7) asks.") {
					t.Errorf("%q", note)
				}
				if s := b.Status()[0]; s.Operations != 5 || !s.PINCached || !s.Held || s.Serial == "" {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// A wrong PIN is sent once. It is forgotten, and a person is asked for the next use.
func TestWrongPIN(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.start()
	k := b.key("OPENPGP.3")
	b.pin = "654321"
	if _, err := b.sign(k); !problem.Is(err, problem.PINIncorrect) {
		t.Fatal(err)
	}
	if _, err := b.sign(k); !problem.Is(err, problem.PINIncorrect) {
		t.Fatal(err)
	}
	if n := strings.Count(b.trace.String(), "> 0020"); n > 1 {
		t.Errorf("the wrong PIN was sent %d times\n%s", n, b.trace)
	}
	b.pin = "123456"
	if _, err := b.sign(k); err != nil {
		t.Fatal(err)
	}
	if n := b.questions(); n != 3 {
		t.Errorf("%d questions", n)
	}
}
