package scdaemon

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

// maxLine is the longest line of the Assuan protocol in bytes, its end included.
const maxLine = 1000

// line is one that a client sent, or why it is not one.
type line struct {
	text string
	err  error
}

// input is what a client sends. It is read one line ahead, so that a client which hangs up is
// noticed while it waits for an answer.
type input struct {
	lines   chan line
	pending *line
	// present ends when the client hangs up.
	present context.Context
}

// read starts reading. It ends with ctx, or when r does.
func read(ctx context.Context, r io.Reader) *input {
	present, hangUp := context.WithCancel(ctx)
	in := &input{lines: make(chan line), present: present}
	go func() {
		defer close(in.lines)
		defer hangUp()
		buffered := bufio.NewReaderSize(r, maxLine)
		for {
			l, err := readLine(buffered)
			if err != nil {
				return
			}
			select {
			case in.lines <- l:
			case <-ctx.Done():
				return
			}
		}
	}()
	return in
}

// readLine reads a line of any length and keeps no more than maxLine bytes of it.
func readLine(r *bufio.Reader) (line, error) {
	text, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		return line{err: fail(errLineTooLong, "")}, err
	}
	if err != nil {
		return line{}, err
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if bytes.IndexByte(text, 0) >= 0 {
		return line{err: fail(errSyntax, "NUL in the line")}, nil
	}
	return line{text: string(text)}, nil
}

// next is the next line; open is false after the last.
func (in *input) next(ctx context.Context) (l line, open bool, err error) {
	if in.pending != nil {
		l, in.pending = *in.pending, nil
		return l, true, nil
	}
	select {
	case <-ctx.Done():
		return line{}, false, ctx.Err()
	case l, open = <-in.lines:
		return l, open, nil
	}
}
