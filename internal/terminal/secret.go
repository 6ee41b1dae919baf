package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// ReadSecret shows prompt and reads a line without echo, at most
// secret.MaxLength bytes. Backspace and Ctrl-U edit it. Ctrl-C, and Ctrl-D, are
// a problem.Interrupted.
func (t *Terminal) ReadSecret(ctx context.Context, prompt string) (*secret.Bytes, error) {
	// Room for all from the start: growing would leave copies behind.
	typed := make([]byte, 0, secret.MaxLength)
	var entered *secret.Bytes
	err := t.ask(ctx, func() error {
		line := hiddenLine{in: t.keys(), typed: typed}
		err := t.write(oneLine(prompt))
		if err == nil {
			err = line.read()
		}
		if ctx.Err() != nil {
			secret.Wipe(line.typed)
			return ctx.Err()
		}
		if newline := t.write("\r\n"); err == nil {
			err = newline
		}
		if err != nil {
			secret.Wipe(line.typed)
			return err
		}
		entered = secret.New(line.typed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return entered, nil
}

// hiddenLine is a line that is typed without echo.
type hiddenLine struct {
	in      io.Reader
	typed   []byte
	tooLong bool
}

func (l *hiddenLine) read() error {
	for {
		key, err := l.key()
		if err != nil {
			return err
		}
		switch {
		case key == '\r' || key == '\n':
			if l.tooLong {
				return problem.New(problem.Usage, "it is longer than %d bytes", secret.MaxLength)
			}
			return nil
		case key == keyBackspace || key == keyDelete:
			_, size := utf8.DecodeLastRune(l.typed)
			l.cut(len(l.typed) - size)
		case key == keyKill:
			l.cut(0)
			l.tooLong = false
		case key == keyEscape:
			if err := l.skipSequence(); err != nil {
				return err
			}
		case len(l.typed) == cap(l.typed):
			l.tooLong = true
		default:
			l.typed = append(l.typed, key)
		}
	}
}

// cut shortens what was typed to n bytes.
func (l *hiddenLine) cut(n int) {
	secret.Wipe(l.typed[n:])
	l.typed = l.typed[:n]
}

// skipSequence leaves out what a cursor or function key sends (ECMA-48, 5.4).
func (l *hiddenLine) skipSequence() error {
	key, err := l.key()
	if err != nil || key != '[' && key != 'O' {
		return err
	}
	for {
		key, err := l.key()
		if err != nil || key >= 0x40 && key <= 0x7E {
			return err
		}
	}
}

func (l *hiddenLine) key() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(l.in, b[:])
	switch {
	case errors.Is(err, io.EOF):
		return 0, errInterrupted()
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	return b[0], nil
}
