package p11kit

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/test/softtoken"
)

func TestEventsWithoutWaiting(t *testing.T) {
	cards, desk, token := newCards(Options{})
	p := start(t, cards)
	p.fails(ckrNoEvent, "C_WaitForSlotEvent", ckfDontBlock)
	desk.Remove(token)
	if slot := p.ok("C_WaitForSlotEvent", ckfDontBlock).ulong(); slot != 1 {
		t.Errorf("slot %d", slot)
	}
	p.fails(ckrNoEvent, "C_WaitForSlotEvent", ckfDontBlock)

	// Another token in the slot is an event, and every slot is told once.
	desk.Insert(newToken(2))
	desk.Insert(&softtoken.Token{What: agent.About{Number: 3}})
	for _, want := range []uint64{1, 2} {
		if slot := p.ok("C_WaitForSlotEvent", ckfDontBlock).ulong(); slot != want {
			t.Errorf("slot %d, want %d", slot, want)
		}
	}
	p.fails(ckrNoEvent, "C_WaitForSlotEvent", ckfDontBlock)
}

// A thread that waits does not keep the others of the program waiting.
func TestWaiting(t *testing.T) {
	cards, desk, _ := newCards(Options{})
	p := start(t, cards)
	p.send(request("C_WaitForSlotEvent", 0))
	waits := p.number
	p.open()
	desk.Insert(&softtoken.Token{What: agent.About{Number: 2}})
	number, r, code := p.receive()
	if number != waits || code != ckrOK || r.ulong() != 2 {
		t.Errorf("answer %d to request %d: 0x%X", number, waits, uint64(code))
	}
	// An event of before is told at once.
	desk.Insert(&softtoken.Token{What: agent.About{Number: 3}})
	if slot := p.ok("C_WaitForSlotEvent", 0).ulong(); slot != 3 {
		t.Errorf("slot %d", slot)
	}
}

func TestFinalizeEndsWaiting(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	p.send(request("C_WaitForSlotEvent", 0))
	waits := p.number
	p.send(request("C_Finalize"))
	for range 2 {
		number, _, code := p.receive()
		if want := map[bool]rv{true: ckrCryptokiNotInitialized, false: ckrOK}[number == waits]; code != want {
			t.Errorf("answer %d: 0x%X, want 0x%X", number, uint64(code), uint64(want))
		}
	}
	p.ok("C_Initialize", []byte(handshake), byte(0), []byte{0})
	p.fails(ckrNoEvent, "C_WaitForSlotEvent", ckfDontBlock)
}

func TestTooManyWait(t *testing.T) {
	cards, _, _ := newCards(Options{})
	p := start(t, cards)
	for range maxWaiting {
		p.send(request("C_WaitForSlotEvent", 0))
	}
	p.fails(ckrHostMemory, "C_WaitForSlotEvent", 0)
}

// end waits until Serve returned.
func (p *program) end() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(time.Minute):
		p.t.Fatal("Serve did not return")
		return nil
	}
}

// slow is a token whose login waits for a person.
type slow struct {
	*softtoken.Token
	asked chan struct{}
	ended chan error
}

// Keys are one key, whose PIN is asked for.
func (s slow) Keys(context.Context) ([]agent.Key, error) {
	return []agent.Key{slowKey{keysOfTests()[0], s}}, nil
}

type slowKey struct {
	agent.Key
	token slow
}

func (s slowKey) Login(ctx context.Context, _ agent.Client) error {
	close(s.token.asked)
	<-ctx.Done()
	s.token.ended <- ctx.Err()
	return ctx.Err()
}

// only are tokens that do not change.
type only []agent.Token

func (o only) All(context.Context) ([]agent.Token, error) { return o, nil }
func (o only) Version() uint64                            { return 1 }
func (o only) Wait(ctx context.Context, _ uint64) error {
	<-ctx.Done()
	return ctx.Err()
}

func newSlow() slow { return slow{newToken(1), make(chan struct{}), make(chan error, 1)} }

// A program that hangs up while a person is asked, or while it waits, is served no more.
func TestHangingUp(t *testing.T) {
	token := newSlow()
	p := start(t, NewCards(only{token}, Options{}))
	p.send(request("C_WaitForSlotEvent", 0))
	p.send(request("C_Login", p.open(), ckuUser, none{}))
	<-token.asked
	_ = p.conn.Close()
	if err := <-token.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the question ended with %v", err)
	}
	if err := p.end(); err != nil {
		t.Error(err)
	}
}

// Serve ends with its context.
func TestEndOfTheAgent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cards, _, _ := newCards(Options{})
	ended := make(chan error, 1)
	near, far := pipe(t)
	go func() { ended <- Serve(ctx, far, cards, someone) }()
	if _, err := near.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Serve did not return")
	}
}
