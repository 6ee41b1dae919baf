package marionette

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// A frame is the length of a JSON text in bytes, in decimal, a colon, and the text.
const (
	maxFrame  = 32 << 20 // bytes; a screenshot is the longest answer
	maxDigits = 8        // of the length
)

var errFrame = errors.New("not a frame of Marionette")

// newFrame makes a frame in one allocation, so that it can be wiped.
func newFrame(parts ...[]byte) []byte {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	frame := strconv.AppendInt(make([]byte, 0, maxDigits+1+length), int64(length), 10)
	frame = append(frame, ':')
	for _, part := range parts {
		frame = append(frame, part...)
	}
	return frame
}

// readFrame returns the text of a frame. It takes no more memory than was sent.
func readFrame(r *bufio.Reader) ([]byte, error) {
	length, err := readLength(r)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(length)))
	if err == nil && len(text) < length {
		err = io.ErrUnexpectedEOF
	}
	return text, err
}

func readLength(r *bufio.Reader) (int, error) {
	length := 0
	for digits := 0; ; digits++ {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case b == ':' && digits > 0:
			return length, nil
		case b < '0' || b > '9' || digits == maxDigits:
			return 0, errFrame
		}
		if length = 10*length + int(b-'0'); length > maxFrame {
			return 0, fmt.Errorf("%w: longer than %d bytes", errFrame, maxFrame)
		}
	}
}
