package p11kit

import (
	"context"
	"crypto/rand"
)

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
