package pcsc

import "context"

type outcome[T any] struct {
	value T
	err   error
}

// await runs f, which blocks in the PC/SC library where no context reaches it,
// and returns early when ctx ends. What f then still comes back with goes to
// late.
func await[T any](ctx context.Context, f func() (T, error), late func(T, error)) (T, error) {
	done := make(chan outcome[T], 1)
	go func() {
		value, err := f()
		done <- outcome[T]{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		go func() {
			o := <-done
			late(o.value, o.err)
		}()
		var none T
		return none, ctx.Err()
	}
}
