package provision

import "sync"

// turns has the first cards of several readers get their rows in the order of the readers,
// however fast each of them is. A reader whose card is waited for holds up nobody.
type turns struct {
	turn   sync.Mutex
	wake   *sync.Cond
	passed []bool
}

// wait waits until all readers before this one have passed.
func (t *turns) wait(reader int) {
	t.turn.Lock()
	defer t.turn.Unlock()
	for i := range reader {
		for !t.passed[i] {
			t.cond().Wait()
		}
	}
}

// pass has a reader hold up nobody any more.
func (t *turns) pass(reader int) {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.passed[reader] = true
	t.cond().Broadcast()
}

func (t *turns) cond() *sync.Cond {
	if t.wake == nil {
		t.wake = sync.NewCond(&t.turn)
	}
	return t.wake
}
