package scdaemon

import (
	"fmt"
	"io"
	"strings"
)

// output writes answers (libassuan manual, "Server responses").
type output struct {
	w io.Writer
	// err is why the client cannot be reached any more.
	err error
}

func (o *output) ok(text string) error {
	if text != "" {
		text = " " + text
	}
	return o.line("OK" + text)
}

func (o *output) fail(f *failure) error { return o.line("ERR " + f.wire()) }

// status writes a status line. The values are escaped already.
func (o *output) status(keyword string, values ...string) {
	_ = o.line(strings.TrimRight(strings.Join(append([]string{"S", keyword}, values...), " "), " "))
}

// comment writes a line for people.
func (o *output) comment(text string) { _ = o.line("# " + text) }

// line writes a line, of which the client reads no more than maxLine bytes.
func (o *output) line(text string) error {
	text = controls.Replace(text)
	o.write([]byte(text[:min(len(text), maxLine-1)] + "\n"))
	return o.err
}

// data writes data lines and leaves none of the data in memory.
func (o *output) data(data []byte) {
	const most = 3 * 300 // what escapes make of 300 bytes
	buffer := make([]byte, 0, maxLine)
	defer clear(buffer[:cap(buffer)])
	for len(data) > 0 {
		buffer = append(buffer[:0], "D "...)
		for len(data) > 0 && len(buffer) < most {
			switch c := data[0]; c {
			case '%', '\r', '\n':
				buffer = fmt.Appendf(buffer, "%%%02X", c)
			default:
				buffer = append(buffer, c)
			}
			data = data[1:]
		}
		o.write(append(buffer, '\n'))
	}
}

func (o *output) write(line []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(line)
	}
}

// controls keeps a line one line.
var controls = strings.NewReplacer("\n", "%0A", "\r", "%0D", "\x00", "%00")

// plus escapes a value of a status line: its blanks are plus signs.
func plus(value string) string {
	var b strings.Builder
	for i := range len(value) {
		switch c := value[i]; {
		case c == ' ':
			b.WriteByte('+')
		case c < ' ', c == '+', c == '"', c == '%', c == 0x7F:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
