package p11kit

import (
	"context"
	"sync"
)

// watch is what the application knows of the slots. Several threads can wait.
type watch struct {
	mu      sync.Mutex
	known   map[uint64]uint64 // the number of the token in a slot, 0 for none
	waiting int
	life    context.Context // from C_Initialize to C_Finalize
	end     context.CancelFunc
}

func (w *watch) start(ctx context.Context, slots []slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = map[uint64]uint64{}
	for _, s := range slots {
		w.known[s.id] = s.number()
	}
	w.life, w.end = context.WithCancel(ctx)
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
}

// number is that of the token in a slot, 0 for none.
func (s slot) number() uint64 {
	if s.token == nil {
		return 0
	}
	return s.token.About().Number
}

// changed is a slot whose token came or went since the application got to know of it last.
func (w *watch) changed(slots []slot) (id uint64, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range slots {
		if now := s.number(); w.known[s.id] != now {
			w.known[s.id] = now
			return s.id, true
		}
	}
	return 0, false
}

// enter counts a thread that waits; leave has to be called after it.
func (w *watch) enter() (life context.Context, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == maxWaiting {
		return nil, false
	}
	w.waiting++
	return w.life, true
}

func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting--
}

// slotEvent is C_WaitForSlotEvent (section 5.5) with CKF_DONT_BLOCK.
func (c *client) slotEvent(ctx context.Context, _ arguments, w *writer) rv {
	slots, err := c.cards.look(ctx)
	if err != nil {
		return valueOf(err)
	}
	id, found := c.watch.changed(slots)
	if !found {
		return ckrNoEvent
	}
	w.ulong(id)
	return ckrOK
}

// wait is C_WaitForSlotEvent. One that blocks is answered later: when a token comes or goes,
// or at C_Finalize.
func (c *client) wait(ctx context.Context, request []byte, reply func([]byte) error) error {
	_, a, code := c.decode(ctx, request)
	if code != ckrOK {
		return reply(failure(code))
	}
	if a.numbers[0]&ckfDontBlock != 0 {
		return reply(c.answer(ctx, request))
	}
	life, ok := c.watch.enter()
	if !ok {
		return reply(failure(ckrHostMemory))
	}
	go func() {
		defer c.watch.leave()
		if body := c.event(life); ctx.Err() == nil {
			_ = reply(body) // a client that is gone is seen by who reads
		}
	}()
	return nil
}

// event waits for an event, and returns the answer.
func (c *client) event(life context.Context) []byte {
	for {
		version := c.cards.tokens.Version()
		w := begin(callWaitForSlotEvent, calls[callWaitForSlotEvent].response)
		code := c.slotEvent(life, arguments{}, w)
		if code == ckrNoEvent {
			code = valueOf(c.cards.tokens.Wait(life, version))
			if code == ckrOK {
				continue
			}
		}
		switch {
		case life.Err() != nil:
			return failure(ckrCryptokiNotInitialized)
		case code != ckrOK:
			return failure(code)
		}
		return w.body
	}
}
