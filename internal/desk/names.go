package desk

import (
	"slices"
	"sync"
)

// Names are the names of readers and the serials of cards that are there. They
// are safe for concurrent use; nil takes none.
type Names struct {
	turn sync.Mutex
	list []string
}

func (n *Names) add(name string) {
	if n == nil {
		return
	}
	n.turn.Lock()
	defer n.turn.Unlock()
	n.list = append(n.list, name)
}

// Any reports whether is is true of one of them.
func (n *Names) Any(is func(name string) bool) bool {
	n.turn.Lock()
	defer n.turn.Unlock()
	return slices.ContainsFunc(n.list, is)
}
