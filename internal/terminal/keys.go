package terminal

import (
	"io"
	"os"
	"sync/atomic"
)

// Keys of a terminal in raw mode.
const (
	keyInterrupt = 0x03 // Ctrl-C
	keyEnd       = 0x04 // Ctrl-D
	keyBackspace = 0x08
	keyKill      = 0x15 // Ctrl-U
	keyEscape    = 0x1B
	keyDelete    = 0x7F
)

// keys reads one byte at a time, so that a reader with a buffer of its own
// takes nothing that is meant for the next question. The interrupt key and the
// end-of-input key end it, as does Close; the terminal stays open.
type keys struct {
	file  *os.File
	ended atomic.Bool
}

func (k *keys) Read(p []byte) (int, error) {
	if k.ended.Load() {
		return 0, io.EOF
	}
	n, err := k.file.Read(p[:min(len(p), 1)])
	if n == 1 && (p[0] == keyInterrupt || p[0] == keyEnd) {
		k.ended.Store(true)
		return 0, io.EOF
	}
	return n, err
}

func (k *keys) Close() error {
	k.ended.Store(true)
	return nil
}
