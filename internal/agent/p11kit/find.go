package p11kit

import (
	"context"
	"slices"
)

// findObjectsInit is C_FindObjectsInit (section 5.7).
func (c *client) findObjectsInit(ctx context.Context, s *session, a arguments, _ *writer) rv {
	if s.finding {
		return ckrOperationActive
	}
	objects, code := c.objects(ctx, s)
	if code != ckrOK {
		return code
	}
	s.finding, s.found = true, sorted(objects, a.template)
	return ckrOK
}

// sorted are the handles of objects, smallest first.
func sorted(objects map[uint64]*object, template []attribute) []uint64 {
	var handles []uint64
	for handle, o := range objects {
		if o.matches(template) {
			handles = append(handles, handle)
		}
	}
	slices.Sort(handles)
	return handles
}

// findObjects is C_FindObjects (section 5.7).
func (c *client) findObjects(_ context.Context, s *session, a arguments, w *writer) rv {
	if !s.finding {
		return ckrOperationNotInitialized
	}
	n := min(len(s.found), int(a.room))
	w.ulongs(s.found[:n], a.room)
	s.found = s.found[n:]
	return ckrOK
}

// findObjectsFinal is C_FindObjectsFinal (section 5.7).
func (c *client) findObjectsFinal(_ context.Context, s *session, _ arguments, _ *writer) rv {
	if !s.finding {
		return ckrOperationNotInitialized
	}
	s.finding, s.found = false, nil
	return ckrOK
}

// getAttributeValue is C_GetAttributeValue (section 5.7). These failures come with the
// attributes that there are.
func (c *client) getAttributeValue(ctx context.Context, s *session, a arguments, w *writer) rv {
	o, code := c.object(ctx, s, a.numbers[1])
	if code != ckrOK {
		return code
	}
	result := ckrOK
	w.uint32(uint32(len(a.wanted)))
	for _, wanted := range a.wanted {
		value, code := o.value(wanted.kind)
		if code == ckrOK && wanted.room > 0 && uint64(len(value)) > uint64(wanted.room) {
			code = ckrBufferTooSmall
		}
		if code != ckrOK {
			w.noAttribute(wanted.kind)
			result = code
			continue
		}
		w.attribute(wanted.kind, value, wanted.room > 0)
	}
	w.ulong(uint64(result))
	return ckrOK
}

// getObjectSize is C_GetObjectSize (section 5.7).
func (c *client) getObjectSize(ctx context.Context, s *session, a arguments, w *writer) rv {
	o, code := c.object(ctx, s, a.numbers[1])
	if code != ckrOK {
		return code
	}
	w.ulong(o.size())
	return ckrOK
}

// destroyObject is C_DestroyObject (section 5.7), for what C_DeriveKey made.
func (c *client) destroyObject(ctx context.Context, s *session, a arguments, _ *writer) rv {
	if _, code := c.object(ctx, s, a.numbers[1]); code != ckrOK {
		return code
	}
	if c.secrets[a.numbers[1]] == nil {
		return ckrTokenWriteProtected
	}
	delete(c.secrets, a.numbers[1])
	return ckrOK
}
