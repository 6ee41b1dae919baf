package p11kit

import (
	"context"
	"crypto/rand"
)

// seedRandom is C_SeedRandom (section 5.15). The numbers of the system need no seed.
func (c *client) seedRandom(context.Context, *session, arguments, *writer) rv { return ckrOK }

// generateRandom is C_GenerateRandom (section 5.15).
func (c *client) generateRandom(_ context.Context, _ *session, a arguments, w *writer) rv {
	if a.room > maxBody {
		return ckrArgumentsBad
	}
	data := make([]byte, a.room)
	_, _ = rand.Read(data) // never fails
	w.array(data)
	return ckrOK
}
