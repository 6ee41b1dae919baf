package scdaemon

import (
	"context"
	"encoding/hex"
)

// maxData is the most that SETDATA keeps, in bytes.
const maxData = 4096

// setData keeps what the next command signs or decrypts.
func (s *session) setData(_ context.Context, a arguments) error {
	data, err := hex.DecodeString(a.word(0))
	switch {
	case len(a.words) > 1 || err != nil:
		return fail(errParameter, "invalid hexstring")
	case len(data) == 0:
		return fail(errParameter, "no data given")
	}
	if !a.has("append") {
		clear(s.data)
		s.data = nil
	}
	if len(s.data)+len(data) > maxData {
		return fail(errTooLarge, "limit on total size of data reached")
	}
	s.data = append(s.data, data...)
	return nil
}
