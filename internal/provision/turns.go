package provision

import "sync"

// turns has the first cards of several readers get their rows in the order of the readers,
// however fast each of them is. A reader whose card is waited for holds up nobody.
type turns struct {
	wake   *sync.Cond // with the lock of passed
	passed []bool
}

func newTurns(readers int) turns {
	return turns{wake: sync.NewCond(&sync.Mutex{}), passed: make([]bool, readers)}
}

// wait waits until all readers before this one have passed.
func (t *turns) wait(reader int) {
	t.wake.L.Lock()
	defer t.wake.L.Unlock()
	for i := range reader {
		for !t.passed[i] {
			t.wake.Wait()
		}
	}
}

// pass has a reader hold up nobody any more.
func (t *turns) pass(reader int) {
	t.wake.L.Lock()
	defer t.wake.L.Unlock()
	t.passed[reader] = true
	t.wake.Broadcast()
}
