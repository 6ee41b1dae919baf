package p11kit

import "context"

// operation is one with a scheme of signatures: it signs, or it verifies.
type operation struct {
	scheme scheme
	key    *object
	input  input
}

// initialise is what the functions have in common that initialise an operation with a key.
// Without a key there is nothing more to do: the operation was cancelled, or the value says
// why it cannot begin.
func initialise[T any](ctx context.Context, c *client, s *session, a arguments, now **T, class uint64, use uint32) (*object, rv) {
	switch {
	case a.mechanism.cancel:
		*now = nil
		return nil, ckrOK
	case *now != nil:
		return nil, ckrOperationActive
	}
	return c.keyFor(ctx, s, a.numbers[1], class, use)
}

// whole says why an operation does not take all data at once; ckrOK if it does.
func (o *operation) whole() rv {
	switch {
	case o == nil:
		return ckrOperationNotInitialized
	case o.input.several:
		return ckrOperationActive
	}
	return ckrOK
}

// update gives an operation a part of its data.
func update(now **operation, part []byte) rv {
	if *now == nil {
		return ckrOperationNotInitialized
	}
	(*now).input.several = true
	return write(now, part)
}

// write gives an operation data; too much of it ends the operation.
func write(now **operation, data []byte) rv {
	code := (*now).input.write(data)
	if code != ckrOK {
		*now = nil
	}
	return code
}
