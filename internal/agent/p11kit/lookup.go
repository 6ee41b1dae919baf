package p11kit

import "context"

// objects are those that the application can see in a session, by their handles: a token's
// count from 1.
func (c *client) objects(ctx context.Context, s *session) (map[uint64]*object, rv) {
	list, err := s.slot.objects.read(ctx, s.slot.token, c.cards.options.NeedsLogin)
	if err != nil {
		return nil, valueOf(err)
	}
	seen := map[uint64]*object{}
	for i, o := range list {
		if c.logins[s.slot.id] || !o.is(ckaPrivate) {
			seen[uint64(i)+1] = o
		}
	}
	for handle, secret := range c.secrets {
		if secret.of.slot.id == s.slot.id {
			seen[handle] = secret.object
		}
	}
	return seen, ckrOK
}

// object finds an object by its handle.
func (c *client) object(ctx context.Context, s *session, handle uint64) (*object, rv) {
	all, code := c.objects(ctx, s)
	if code != ckrOK {
		return nil, code
	}
	if o := all[handle]; o != nil {
		return o, ckrOK
	}
	return nil, ckrObjectHandleInvalid
}

// keyFor finds a key that may be used for what the attribute says.
func (c *client) keyFor(ctx context.Context, s *session, handle uint64, class uint64, use uint32) (*object, rv) {
	o, code := c.object(ctx, s, handle)
	switch {
	case code == ckrObjectHandleInvalid && c.hidden(ctx, s, handle):
		return nil, ckrUserNotLoggedIn
	case code == ckrObjectHandleInvalid:
		return nil, ckrKeyHandleInvalid
	case code != ckrOK:
		return nil, code
	case !o.matches([]attribute{number(ckaClass, class)}):
		return nil, ckrKeyHandleInvalid
	case !o.is(use):
		return nil, ckrKeyFunctionNotPermitted
	}
	return o, ckrOK
}

// hidden reports whether an object can be seen after a login.
func (c *client) hidden(ctx context.Context, s *session, handle uint64) bool {
	list, err := s.slot.objects.read(ctx, s.slot.token, c.cards.options.NeedsLogin)
	return err == nil && handle > 0 && handle <= uint64(len(list)) && list[handle-1].is(ckaPrivate)
}
