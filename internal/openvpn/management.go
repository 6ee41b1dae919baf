package openvpn

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// longestLine is the greatest length of a line of the management interface in bytes:
// that with a certificate, in base64.
const longestLine = 1 << 17

// What OpenVPN tells in real time, behind a ">" (management-notes.txt).
const (
	kindHold     = "HOLD"
	kindState    = "STATE"
	kindPassword = "PASSWORD"
	kindNeedOK   = "NEED-OK"
	kindNeedStr  = "NEED-STR"
	kindFatal    = "FATAL"
	kindInfo     = "INFOMSG" // of the server, for a person
	kindRemote   = "REMOTE"  // asks which server is meant
	kindProxy    = "PROXY"
	kindIDCount  = "PKCS11ID-COUNT"
	kindIDEntry  = "PKCS11ID-ENTRY"

	// What it answers to a command.
	kindFailed = "ERROR"
	kindPID    = "SUCCESS: pid"
)

// message is a line of the management interface: what it is about, and the rest.
type message struct{ kind, text string }

// parseMessage reads a line. Its kind is empty where it is nothing that has one.
func parseMessage(line string) message {
	line = strings.TrimSuffix(line, "\r")
	if told, ok := strings.CutPrefix(line, ">"); ok {
		kind, text, _ := strings.Cut(told, ":")
		return message{kind, text}
	}
	if text, ok := strings.CutPrefix(line, kindFailed+": "); ok {
		return message{kindFailed, text}
	}
	if text, ok := strings.CutPrefix(line, kindPID+"="); ok {
		return message{kindPID, text}
	}
	return message{text: line}
}

// asked is the name of what OpenVPN needs, and what it needs of that: "password",
// "username/password", "confirmation" or "string". It is false where it needs nothing.
// A name may have quotes: it ends with the last one.
func (m message) asked() (name, what string, ok bool) {
	rest, ok := strings.CutPrefix(m.text, "Need '")
	if !ok {
		return "", "", false
	}
	if m.kind != kindPassword { // MSG: is for people, and may have quotes
		rest, _, _ = strings.Cut(rest, " MSG:")
	}
	end := strings.LastIndex(rest, "' ")
	if end < 0 {
		return "", "", false
	}
	return rest[:end], rest[end+len("' "):], true
}

// state is the name of the state that OpenVPN is in.
func (m message) state() string {
	fields := strings.SplitN(m.text, ",", 3)
	if len(fields) < 2 {
		return ""
	}
	return fields[1]
}

// entry is a certificate that OpenVPN sees, and the ID by which it is named.
type entry struct {
	id  string
	der []byte
}

// mostEntries is how many certificates are looked at.
const mostEntries = 256

func (m message) count() (int, error) {
	n, err := strconv.Atoi(m.text)
	if err != nil || n < 0 || n > mostEntries {
		return 0, garbled(m.kind)
	}
	return n, nil
}

// entry reads 'N', ID:'…', BLOB:'…'.
func (m message) entry(n int) (entry, error) {
	rest, ok := strings.CutPrefix(m.text, "'"+strconv.Itoa(n)+"', ID:'")
	id, rest, hasBlob := strings.Cut(rest, "', BLOB:'")
	blob, ends := strings.CutSuffix(rest, "'")
	der, err := base64.StdEncoding.DecodeString(blob)
	if !ok || !hasBlob || !ends || err != nil || id == "" || len(der) == 0 {
		return entry{}, garbled(m.kind)
	}
	return entry{id, der}, nil
}

func garbled(kind string) error {
	return problem.New(problem.Failed, "OpenVPN sent something that cardctl does not understand").
		Because("The line of its management interface begins with %q.", ">"+kind)
}

// peer is OpenVPN at the other end of its management interface. Messages are read in the
// background, until the connection ends or is closed.
type peer struct {
	conn     net.Conn
	messages chan message
	quit     chan struct{}
	ended    error // why messages was closed; io.EOF for a plain end
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn, messages: make(chan message), quit: make(chan struct{})}
	go p.listen()
	return p
}

func (p *peer) listen() {
	defer close(p.messages)
	p.ended = io.EOF
	lines := bufio.NewReaderSize(p.conn, longestLine)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			p.ended = problem.New(problem.Failed, "OpenVPN sent a line that is too long").
				Because("A line of its management interface has %d bytes at most.", longestLine)
			_ = p.conn.Close() // nobody reads on
		}
		if err != nil {
			return
		}
		select {
		case p.messages <- parseMessage(string(line[:len(line)-1])):
		case <-p.quit:
			return
		}
	}
}

// close ends the connection. It may be called more than once.
func (p *peer) close() {
	if err := p.conn.Close(); err == nil {
		close(p.quit)
	}
}

// command sends a command.
func (p *peer) command(words ...string) error { return p.send(nil, words...) }

// send sends a command, whose first word is sent as it is and the others quoted, and a
// secret behind it, if there is one.
func (p *peer) send(last *secret.Bytes, words ...string) error {
	line := secret.New(make([]byte, 0, 4096)) // so that no copy of the secret is left behind
	defer func() { line.Wipe() }()
	b := append(line.Reveal(), words[0]...)
	for _, word := range words[1:] {
		b = appendQuoted(b, []byte(word))
	}
	if last.Len() > 0 {
		b = appendQuoted(b, last.Reveal())
	}
	line = secret.New(b)
	if len(b) >= 2048 || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return problem.New(problem.NotSupported, "OpenVPN cannot be sent a name or a PIN like that").
			Because("Its management interface takes one line, without control characters.")
	}
	_, err := p.conn.Write(append(b, '\n'))
	return err
}

// appendQuoted appends a word as OpenVPN's parser reads it back (openvpn(8), "Command
// parsing").
func appendQuoted(b, word []byte) []byte {
	b = append(b, ' ', '"')
	for _, c := range word {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}
