package provision

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// First cards get their rows in the order of the readers; who has passed holds up nobody.
func TestTurns(t *testing.T) {
	order := newTurns(4)
	order.pass(1) // no card is in it
	var (
		all  sync.WaitGroup
		turn sync.Mutex
		got  []int
	)
	for _, reader := range []int{3, 2, 0} {
		all.Go(func() {
			time.Sleep(time.Duration(3-reader) * 5 * time.Millisecond) // the last one is ready first
			order.wait(reader)
			turn.Lock()
			got = append(got, reader)
			turn.Unlock()
			order.pass(reader)
		})
	}
	all.Wait()
	if !slices.Equal(got, []int{0, 2, 3}) {
		t.Errorf("%v", got)
	}
}
