package terminal

import (
	"io"
	"strings"

	"github.com/manifoldco/promptui"
)

// answerKeys makes cursor keys of what is typed at a choice between No and,
// below it, Yes: every beginning of "yes" goes to Yes, any other word to No.
type answerKeys struct {
	keys     io.ReadCloser
	typed    string
	sequence sequence
}

// sequence is where in what a cursor or function key sends a byte stands
// (ECMA-48, 5.4).
type sequence int

const (
	noSequence sequence = iota
	introduced
	inside
)

func (a *answerKeys) Read(p []byte) (int, error) {
	n, err := a.keys.Read(p[:min(len(p), 1)])
	if n == 1 {
		p[0] = a.cursorKey(p[0])
	}
	return n, err
}

func (a *answerKeys) Close() error { return a.keys.Close() }

func (a *answerKeys) cursorKey(key byte) byte {
	switch {
	case a.inSequence(key):
		return key
	case key == keyBackspace || key == keyDelete:
		a.typed = a.typed[:max(len(a.typed)-1, 0)]
	case key == keyKill:
		a.typed = ""
	case key < ' ':
		return key
	case len(a.typed) < maxAnswer:
		a.typed += string(rune(key))
	}
	if a.typed != "" && strings.HasPrefix("yes", strings.ToLower(a.typed)) {
		return byte(promptui.KeyNext)
	}
	return byte(promptui.KeyPrev)
}

// inSequence reports whether a byte is not a key of its own.
func (a *answerKeys) inSequence(key byte) bool {
	switch {
	case key == keyEscape:
		a.sequence = introduced
		return true
	case a.sequence == introduced && (key == '[' || key == 'O'):
		a.sequence = inside
		return true
	case a.sequence == inside && key >= 0x40 && key <= 0x7E:
		a.sequence = noSequence
		return true
	}
	if a.sequence == introduced {
		a.sequence = noSequence
	}
	return a.sequence == inside
}
