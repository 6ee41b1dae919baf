package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pcsc"
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
	options := cardsim.Options{Applications: strings.Split(app, "+"), Serial: "12345678"}
	if err := cardsim.NewStore(dir).Create("desk", options); err != nil {
		t.Fatal(err)
	}
	b := &bench{Keeper: &Keeper{}, t: t, pin: "123456", trace: &bytes.Buffer{}}
	d := &desk.Desk{
		Simulated: &desk.SimulatedStore{Dir: func() (string, error) { return dir, nil }},
		Meant:     desk.Selection{Reader: "sim:desk"}, Identify: family.Serials,
		StateDir: func() (string, error) { return dir, nil },
	}
	b.o.Desk = d
	for _, ref := range references {
		b.generate(ref)
	}
	d.Trace = b.trace
	b.Keeper = New(Options{
		Desk: d, Cache: time.Minute, Idle: time.Hour,
		Access: desk.Access{Now: time.Now, Notify: func(string) {}, Ask: b.ask},
		Log:    func(err error) { t.Log(err) },
	})
	return b
}

// generate has another command make a key.
func (b *bench) generate(ref string) {
	b.t.Helper()
	d := *b.o.Desk
	d.Trace = nil
	a := desk.Access{Now: time.Now, Notify: func(string) {}, Ask: func(_ context.Context, q secret.Request) (*secret.Bytes, error) {
		switch q.Name {
		case secret.AdminPIN:
			return secret.New([]byte("12345678")), nil
		case secret.ManagementKey:
			return secret.New([]byte("010203040506070801020304050607080102030405060708")), nil
		}
		return secret.New([]byte("123456")), nil
	}}
	err := family.WithKey(b.t.Context(), &d, ref, a, func(ctx context.Context, _ family.At, k key.Key) error {
		_, err := k.Generate(ctx, key.Spec{Algorithm: "p256"})
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) start() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = b.Run(ctx); close(done) }()
	b.t.Cleanup(func() { stop(); <-done })
	b.until(func() bool { return b.Version() > 0 })
}

// until waits for something.
func (b *bench) until(is func() bool) {
	b.t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatal("it does not happen")
		}
	}
}

// readers are a reader with the simulated card, or without it.
type readers struct {
	simulated desk.Simulated

	mu      sync.Mutex
	there   bool
	changes uint16
}

func (r *readers) put(there bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.there = there
	r.changes++
}

func (r *readers) Readers(context.Context) ([]pcsc.Reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return []pcsc.Reader{{Name: "Reader 0", CardPresent: r.there, Changes: r.changes}}, nil
}

func (r *readers) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return r.simulated.Connect(ctx, "desk")
}

func (r *readers) WaitForCard(context.Context, func(pcsc.Reader) bool) (pcsc.Reader, error) {
	return pcsc.Reader{}, errors.ErrUnsupported
}

func (r *readers) Close() error { return nil }

// inReader has the card come into a reader and go.
func (b *bench) inReader() *readers {
	r := &readers{simulated: b.o.Desk.Simulated}
	b.o.Desk.OpenReaders = func(context.Context, pcsc.Options) (desk.Readers, error) { return r, nil }
	b.o.Desk.Meant.Reader = ""
	return r
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
func (b *bench) sign(k Key) (apdus uint64, err error) {
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
// PIN for each; after the card was let go four, and five on a PIV card.
func TestOnePINForAll(t *testing.T) {
	for ref, want := range map[string]struct {
		app         string
		each, again uint64
	}{
		"OPENPGP.3": {"openpgp", 1, 4}, "OPENPGP.1": {"openpgp", 2, 4},
		// No command of a PIV card tells both which card it is and the tries left.
		"PIV.9A": {"piv", 1, 5}, "PIV.9C": {"piv", 2, 5},
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
				if note := b.asked[0].Note; !strings.Contains(note, "judge (process 7) asks to use a key.") {
					t.Errorf("%q", note)
				}
				if s := b.Status()[0]; s.Operations != 5 || !s.PINCached || !s.Held || s.Serial == "" {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// The objects of a card are those that it has now, and no PIN is asked for to read them.
func TestObjects(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.1")
	b.start()
	k := b.key("OPENPGP.1")
	all, err := b.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for count := range byte(2) {
		objects, err := all[0].Objects(t.Context())
		if err != nil || !bytes.Equal(objects[0x93], []byte{0, 0, count}) || b.questions() != int(count) {
			t.Errorf("%X, %v, %d questions", objects, err, b.questions())
		}
		if _, err := b.sign(k); err != nil {
			t.Fatal(err)
		}
	}
}

// A card that is inserted and removed is seen, and a token that is gone stays
// so.
func TestInsertedAndRemoved(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	r := b.inReader()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = b.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	if all, err := b.All(t.Context()); len(all) != 0 || err != nil {
		t.Fatalf("%d tokens, %v", len(all), err)
	}
	change := func(there bool) {
		before := b.Version()
		r.put(there)
		waiting, over := context.WithTimeout(t.Context(), 5*time.Second)
		defer over()
		if err := b.Wait(waiting, before); err != nil {
			t.Fatalf("not seen: %v", err)
		}
	}
	change(true)
	k := b.key("OPENPGP.3")
	if _, err := b.sign(k); err != nil {
		t.Fatal(err)
	}
	change(false)
	if _, err := k.Sign(t.Context(), Client{}, make([]byte, 32), crypto.SHA256); !problem.Is(err, problem.CardRemoved) {
		t.Error(err)
	}
	if all, _ := b.All(t.Context()); len(all) != 0 {
		t.Errorf("%d tokens", len(all))
	}
	change(true)
	again := b.key("OPENPGP.3")
	if _, err := k.Sign(t.Context(), Client{}, make([]byte, 32), crypto.SHA256); !problem.Is(err, problem.CardRemoved) {
		t.Error(err)
	}
	if _, err := b.sign(again); err != nil {
		t.Error(err)
	}
	if n := b.questions(); n != 2 {
		t.Errorf("%d questions: the PIN ends with the card", n)
	}
	was := number(t, b)
	r.put(false) // and another one at once
	r.put(true)
	b.until(func() bool { return number(t, b) > was })
	if _, err := b.sign(b.key("OPENPGP.3")); err != nil {
		t.Error(err)
	}
}

// number is that of the only token; 0 if there is none.
func number(t *testing.T, b *bench) uint64 {
	t.Helper()
	all, err := b.All(t.Context())
	if len(all) != 1 || err != nil {
		return 0
	}
	return all[0].About().Number
}

// A card that is read again while it is held has its PIN verified again for the next use.
func TestReadAgainWhileHeld(t *testing.T) {
	for app, ref := range map[string]string{"openpgp": "OPENPGP.3", "piv": "PIV.9A"} {
		t.Run(app, func(t *testing.T) {
			b := newBench(t, app, ref)
			b.start()
			k := b.key(ref)
			if _, err := b.sign(k); err != nil {
				t.Fatal(err)
			}
			for _, p := range b.there() {
				if err := p.ask(t.Context(), func(ctx context.Context, s *session) error {
					_, err := s.read(ctx)
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.sign(k); err != nil {
				t.Error(err)
			}
			if n := b.questions(); n != 1 {
				t.Errorf("%d questions", n)
			}
		})
	}
}

// A card is let go after the last use, and does not know the PIN then.
func TestIdle(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.o.Idle = 30 * time.Millisecond
	b.start()
	k := b.key("OPENPGP.3")
	if _, err := b.sign(k); err != nil {
		t.Fatal(err)
	}
	b.until(func() bool { return !b.Status()[0].Held })
	b.trace.Reset()
	if _, err := b.sign(k); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.trace.String(), "> 00200082") {
		t.Errorf("the PIN is not verified anew\n%s", b.trace)
	}
	if n := b.questions(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// The PIN is forgotten after its time, when a person says so, and where it is not kept.
func TestForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		cache  time.Duration
		forget func(*bench)
		asks   int
	}{
		"kept":                           {time.Minute, func(*bench) {}, 1},
		"for good":                       {Removal, func(*bench) {}, 1},
		"not kept":                       {0, func(*bench) {}, 2},
		"too old":                        {50 * time.Millisecond, func(*bench) { time.Sleep(60 * time.Millisecond) }, 2},
		"too old while the card is held": {50 * time.Millisecond, func(*bench) { time.Sleep(60 * time.Millisecond) }, 2},
		"locked":                         {time.Minute, func(b *bench) { _ = b.Lock(b.t.Context()) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "openpgp", "OPENPGP.3")
			b.o.Cache = test.cache
			b.start()
			k := b.key("OPENPGP.3")
			for range 2 {
				if _, err := b.sign(k); err != nil {
					t.Fatal(err)
				}
				test.forget(b)
				if strings.HasSuffix(name, "is held") {
					continue
				}
				if err := b.Release(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
			}
			if n := b.questions(); n != test.asks {
				t.Errorf("%d questions, want %d", n, test.asks)
			}
		})
	}
}

// A key that wants the PIN for each use gets it from a person each time.
func TestAlways(t *testing.T) {
	b := newBench(t, "piv", "PIV.9C")
	b.start()
	k := b.key("PIV.9C")
	for range 2 {
		if _, err := b.sign(k); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.questions(); n != 2 || b.Status()[0].PINCached {
		t.Errorf("%d questions", n)
	}
}

// Nothing is done with a key without a yes.
func TestConfirmed(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	no := problem.New(problem.Refused, "no")
	b.o.Confirm = func(_ context.Context, by Client, key string) error {
		if by.Name != "judge" || !strings.Contains(key, "OPENPGP.3") {
			t.Errorf("%+v, %s", by, key)
		}
		return no
	}
	b.start()
	k := b.key("OPENPGP.3")
	before := b.Status()[0].APDUs
	if n, err := b.sign(k); !problem.Is(err, problem.Refused) || n != 0 {
		t.Errorf("%d commands, %v", n, err)
	}
	if b.questions() != 0 || b.Status()[0].APDUs != before {
		t.Error("the card was used")
	}
}

// Programs at once get their signatures, and one question is asked.
func TestAtOnce(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.start()
	k := b.key("OPENPGP.3")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			digest := sha256.Sum256([]byte("a message"))
			signature, err := k.Sign(t.Context(), Client{}, digest[:], crypto.SHA256)
			if err != nil || !ecdsa.VerifyASN1(k.About().Public.(*ecdsa.PublicKey), digest[:], signature) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := b.questions(); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// Somebody who does not want to wait any longer is not waited for.
func TestGivenUp(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.o.Access.Ask = func(ctx context.Context, _ secret.Request) (*secret.Bytes, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b.start()
	k := b.key("OPENPGP.3")
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := k.Sign(ctx, Client{}, make([]byte, 32), crypto.SHA256); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	b.o.Access.Ask = b.ask
	if _, err := b.sign(k); err != nil {
		t.Error(err)
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
