package agent

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// other is another program that sends the card commands, in hex; the answers are those of the
// card.
func (b *bench) other(card *cardsim.Card, commands ...string) (answers []string) {
	b.t.Helper()
	if err := b.Release(b.t.Context(), ""); err != nil {
		b.t.Fatal(err)
	}
	c, err := card.Connect(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, command := range append([]string{"00A4040006D2760001240100"}, commands...) {
		apdu, err := hex.DecodeString(command)
		if err != nil {
			b.t.Fatal(err)
		}
		answer, err := c.Transmit(b.t.Context(), apdu)
		if err != nil {
			b.t.Fatal(err)
		}
		answers = append(answers, hex.EncodeToString(answer))
	}
	if err := c.Close(true); err != nil {
		b.t.Fatal(err)
	}
	return answers[1:]
}

// A key that another command replaces is another key: doors look again, and find the new
// one; the old one is gone.
func TestReplaced(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.with()
	b.start()
	old := b.key("OPENPGP.3")
	if _, err := b.sign(old); err != nil {
		t.Fatal(err)
	}
	same := number(t, b)
	if err := b.Release(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if number(t, b) != same {
		t.Error("the same token is another one after the card was released")
	}
	if err := b.Release(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	version := b.Version()
	b.generate("OPENPGP.3")
	b.Reread("sim:desk")
	waiting, over := context.WithTimeout(t.Context(), 5*time.Second)
	defer over()
	if err := b.Wait(waiting, version); err != nil {
		t.Fatal("nobody is told of the new key")
	}
	if number(t, b) <= same {
		t.Error("the new key is not seen at once")
	}
	if _, err := old.Sign(t.Context(), Client{}, make([]byte, 32), crypto.SHA256); !problem.Is(err, problem.CardRemoved) {
		t.Errorf("the old key: %v", err)
	}
	if _, err := b.sign(b.key("OPENPGP.3")); err != nil {
		t.Error(err)
	}
}

// A key that another program replaced while the card was released makes no signature for the
// one that programs know.
func TestReplacedUnseen(t *testing.T) {
	for app, ref := range map[string]string{"openpgp": "OPENPGP.3", "piv": "PIV.9A"} {
		t.Run(app, func(t *testing.T) {
			b := newBench(t, app, ref)
			b.with()
			b.start()
			k := b.key(ref)
			if _, err := b.sign(k); err != nil {
				t.Fatal(err)
			}
			if err := b.Release(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			b.generate(ref)
			if _, err := k.Sign(t.Context(), Client{}, make([]byte, 32), crypto.SHA256); !problem.Is(err, problem.CardChanged) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A PIN that another program changed is refused once; a person is asked then, and nothing is
// sent a second time.
func TestPINChangedMeanwhile(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	card := b.with()
	b.start()
	k := b.key("OPENPGP.3")
	if _, err := b.sign(k); err != nil {
		t.Fatal(err)
	}
	if got := b.other(card, "002400810C"+hex.EncodeToString([]byte("123456765432"))); got[0] != "9000" {
		t.Fatal(got)
	}
	for _, want := range []problem.Code{problem.PINIncorrect, problem.PINIncorrect} { // the person does not know yet
		if _, err := b.sign(k); !problem.Is(err, want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if n := b.questions(); n != 2 {
		t.Errorf("%d questions", n)
	}
	if n := strings.Count(b.trace.String(), "> 0020"); n != 2 { // the right one, and once the wrong one
		t.Errorf("sent %d times", n)
	}
	tries := func() int { all, _ := b.All(t.Context()); return all[0].About().Tries[0] }
	if tries() != 2 {
		t.Errorf("%d tries are told, and 2 are left", tries())
	}
	b.pin = "765432"
	if _, err := b.sign(k); err != nil || tries() != 3 {
		t.Errorf("%v, %d tries", err, tries())
	}
}

// A PIN that was blocked works when another program has unblocked it, with the value that it
// got.
func TestUnblockedMeanwhile(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.o.Access.AllowLastTry = true
	card := b.with()
	b.start()
	k := b.key("OPENPGP.3")
	for _, b.pin = range []string{"111111", "222222", "333333"} {
		if _, err := b.sign(k); !problem.Is(err, problem.PINIncorrect) && !problem.Is(err, problem.PINBlocked) {
			t.Fatal(err)
		}
	}
	asked := b.questions()
	if _, err := b.sign(k); !problem.Is(err, problem.PINBlocked) || b.questions() != asked {
		t.Errorf("%v, and %d questions", err, b.questions()-asked)
	}
	got := b.other(card, "00200083083132333435363738", "002C028106"+hex.EncodeToString([]byte("333333")))
	if got[0] != "9000" || got[1] != "9000" {
		t.Fatal(got)
	}
	if _, err := b.sign(k); err != nil {
		t.Error(err)
	}
}

// The last try is left to a person who allows it.
func TestLastTry(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	card := b.with()
	b.start()
	k := b.key("OPENPGP.3")
	for _, b.pin = range []string{"111111", "222222", "123456", "123456"} {
		if _, err := b.sign(k); err == nil {
			t.Fatalf("%s was accepted", b.pin)
		}
	}
	if got := b.other(card, "00200082"); got[0] != "63c1" {
		t.Error(got)
	}
}

// While a person is asked, the card is free, and whoever wants it does not wait for the
// person.
func TestReleasedWhileAsked(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.with()
	asked, answer := make(chan struct{}), make(chan struct{})
	b.o.Access.Ask = func(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
		if err := q.Waiting(); err != nil {
			return nil, err
		}
		close(asked)
		<-answer
		return secret.New([]byte("123456")), nil
	}
	b.start()
	k := b.key("OPENPGP.3")
	signed := make(chan error)
	go func() {
		_, err := k.Sign(context.Background(), Client{}, make([]byte, 32), crypto.SHA256)
		signed <- err
	}()
	<-asked
	if b.Status()[0].Held {
		t.Error("a card that is free is said to be held")
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	if err := b.Release(ctx, ""); err != nil {
		t.Error(err)
	}
	close(answer)
	if err := <-signed; err != nil {
		t.Error(err)
	}
}

// A card that is idle keeps its handle no longer than until somebody wants it alone.
func TestReleasedWhileIdle(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.o.Idle = 20 * time.Millisecond
	counting := &handles{Simulated: b.o.Desk.Simulated}
	b.o.Desk.Simulated = counting
	b.start()
	if _, err := b.sign(b.key("OPENPGP.3")); err != nil {
		t.Fatal(err)
	}
	b.until(func() bool { return !b.Status()[0].Held })
	if err := b.Release(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if n := counting.open.Load(); n != 0 {
		t.Errorf("%d handles are there still", n)
	}
}

// handles counts those that are open.
type handles struct {
	desk.Simulated
	open atomic.Int32
}

func (h *handles) Connect(ctx context.Context, name string) (iso7816.Connection, error) {
	c, err := h.Simulated.Connect(ctx, name)
	if err != nil {
		return nil, err
	}
	h.open.Add(1)
	return handle{c, h}, nil
}

type handle struct {
	iso7816.Connection
	of *handles
}

func (h handle) Close(reset bool) error {
	h.of.open.Add(-1)
	return h.Connection.Close(reset)
}

// Two applications of a card are used in turns, also when one of them could not be opened.
func TestTwoApplications(t *testing.T) {
	for n := range 30 {
		b := newBench(t, "openpgp+piv", "OPENPGP.3", "PIV.9A")
		if n > 0 {
			b.with(cardsim.Lie(40+n, 0x6F00, false))
		}
		b.start()
		first, second := b.found("OPENPGP.3"), b.found("PIV.9A")
		for range 2 {
			for _, k := range []Key{first, second} {
				var err error
				for range 3 {
					if _, err = k.Sign(t.Context(), Client{}, make([]byte, 32), crypto.SHA256); err == nil {
						break
					}
				}
				if err != nil {
					t.Fatalf("%d, %s: %v", n, k.About().Ref, err)
				}
			}
		}
	}
}

// A PIN that a card accepted as it was pulled is not kept.
func TestAcceptedAsItWent(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.o.Cache = Removal
	b.with()
	b.start()
	k := b.key("OPENPGP.3").(*heldKey)
	p := k.token.place
	_ = k.use(t.Context(), Client{}, func(context.Context, key.Key) error {
		b.Keeper.ended(p)
		return p.pins.hold(secret.Request{Name: secret.PIN}, secret.New([]byte("123456")), true)
	})
	<-p.over
	b.until(func() bool { return !p.pins.any() })
}

// A PIN ends by the clock on the wall, which goes on while a computer is suspended.
func TestSuspended(t *testing.T) {
	p := newPlace(&Keeper{o: Options{Cache: time.Minute}}, "", 0)
	p.pins.now = time.Now
	q := secret.Request{Name: secret.PIN}
	if err := p.pins.hold(q, secret.New([]byte("123456")), true); err != nil {
		t.Fatal(err)
	}
	p.pins.settle(nil)
	for _, one := range p.pins.kept {
		if one.until != one.until.Round(0) {
			t.Error("its end is counted by a clock that stands still")
		}
	}
	if !bytes.Equal(p.pins.get(q).Reveal(), []byte("123456")) {
		t.Error("it is not kept")
	}
}

// The key by which a PIV card certifies others is not for programs.
func TestAttestationKey(t *testing.T) {
	b := newBench(t, "piv", "PIV.9A")
	b.start()
	all, err := b.All(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	keys, err := all[0].Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].About().Ref != "PIV.9A" {
		t.Errorf("%v, %v", keys, err)
	}
}

// A value that was refused is sent again once the tries say that another program verified the
// PIN or changed it, for it may be the right one now: it is asked for and sent once.
func TestRefusedValueSet(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	card := b.with()
	b.start()
	k := b.key("OPENPGP.3")
	sent := func() int { return strings.Count(b.trace.String(), "> 0020") }
	b.pin = "765432"
	for range 2 {
		if _, err := b.sign(k); !problem.Is(err, problem.PINIncorrect) || sent() != 1 {
			t.Fatalf("%v, sent %d times", err, sent())
		}
	}
	if got := b.other(card, "002400810C"+hex.EncodeToString([]byte("123456765432"))); got[0] != "9000" {
		t.Fatal(got)
	}
	if _, err := b.sign(k); err != nil || sent() != 2 {
		t.Errorf("%v, sent %d times", err, sent())
	}
}
