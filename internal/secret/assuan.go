package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

// maxAssuanLine is the longest line of the Assuan protocol, in bytes, its end
// included.
const maxAssuanLine = 1000

// Codes of libgpg-error in the lower 16 bits of what ERR says.
const (
	gpgErrCancelled      = 99
	gpgErrFullyCancelled = 198
)

// assuan is the client's end of an Assuan dialogue (libassuan manual,
// "Implementation"). Its buffers are wiped by close.
type assuan struct {
	r    io.Reader
	w    io.Writer
	line [maxAssuanLine]byte
	data [MaxLength]byte
}

func newAssuan(r io.Reader, w io.Writer) *assuan { return &assuan{r: r, w: w} }

func (a *assuan) close() {
	_, _ = io.WriteString(a.w, "BYE\n")
	Wipe(a.line[:])
	Wipe(a.data[:])
}

// assuanError is an ERR answer.
type assuanError struct {
	code uint64
	text string
}

func (e *assuanError) Error() string { return "pinentry reports: " + e.text }

// refused reports whether err is the other side's answer, which leaves the
// dialogue as it was.
func refused(err error) bool {
	var e *assuanError
	return errors.As(err, &e)
}

var errAssuan = problem.New(problem.Usage, "pinentry does not speak the Assuan protocol")

func (a *assuan) greeting() error {
	_, err := a.response()
	return err
}

// command sends a command with its parameter and waits for the answer.
func (a *assuan) command(name, parameter string) error {
	if _, err := fmt.Fprintf(a.w, "%s %s\n", name, escape(parameter)); err != nil {
		return errAssuan
	}
	_, err := a.response()
	return err
}

func (a *assuan) getPIN() (*Bytes, error) {
	if _, err := io.WriteString(a.w, "GETPIN\n"); err != nil {
		return nil, errAssuan
	}
	n, err := a.response()
	if err != nil {
		var e *assuanError
		if errors.As(err, &e) && (e.code&0xFFFF == gpgErrCancelled || e.code&0xFFFF == gpgErrFullyCancelled) {
			return nil, ErrCancelled
		}
		return nil, err
	}
	return New(bytes.Clone(a.data[:n])), nil
}

// maxAssuanLines bounds what the other side may say to one command.
const maxAssuanLines = 100

// response reads up to OK or ERR. What D lines carried is in a.data[:n].
func (a *assuan) response() (n int, err error) {
	for range maxAssuanLines {
		line, err := a.readLine()
		if err != nil {
			return 0, err
		}
		word, rest, _ := bytes.Cut(line, []byte(" "))
		switch string(word) {
		case "OK":
			return n, nil
		case "ERR":
			number, text, _ := strings.Cut(string(rest), " ")
			code, _ := strconv.ParseUint(number, 10, 32)
			return 0, &assuanError{code: code, text: text}
		case "D":
			added, err := unescape(a.data[n:], rest)
			if err != nil {
				return 0, err
			}
			n += added
		case "INQUIRE":
			if _, err := io.WriteString(a.w, "END\n"); err != nil {
				return 0, errAssuan
			}
		}
	}
	return 0, errAssuan
}

func (a *assuan) readLine() ([]byte, error) {
	for n := range a.line {
		if _, err := io.ReadFull(a.r, a.line[n:n+1]); err != nil {
			return nil, errAssuan
		}
		if a.line[n] == '\n' {
			return bytes.TrimSuffix(a.line[:n], []byte("\r")), nil
		}
	}
	return nil, errAssuan
}

// escape writes a parameter so that it stays one line.
func escape(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// unescape writes what a D line carries to dst.
func unescape(dst, src []byte) (n int, err error) {
	for i := 0; i < len(src); i++ {
		if n == len(dst) {
			return 0, errTooLong
		}
		c := src[i]
		if c == '%' {
			if i+2 >= len(src) {
				return 0, errAssuan
			}
			high, low := nibble(src[i+1]), nibble(src[i+2])
			if high < 0 || low < 0 {
				return 0, errAssuan
			}
			c = byte(high<<4 | low)
			i += 2
		}
		dst[n] = c
		n++
	}
	return n, nil
}

// nibble is the value of a hexadecimal digit, or -1.
func nibble(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
