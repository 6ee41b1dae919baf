package setup

import "bytes"

// whole is a file that only cardctl writes.
type whole struct {
	Content string `json:"content"`
}

func (w *whole) text() string { return w.Content }

func (w *whole) compare(now []byte) (state, string, error) {
	switch {
	case now == nil:
		return absent, "", nil
	case bytes.Equal(now, []byte(w.Content)):
		return present, "", nil
	}
	return foreign, difference(w.Content, string(now)), nil
}

func (w *whole) apply([]byte) ([]byte, error) { return []byte(w.Content), nil }

func (w *whole) strip(_, before []byte) ([]byte, error) { return before, nil }
