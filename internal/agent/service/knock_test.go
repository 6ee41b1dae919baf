package service_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/agent/service"
)

// knocksAt has this program be one that connects to sockets, by their names with colons
// between.
const knocksAt = "CARDCTL_TEST_KNOCKS_AT"

// greetings are what programs say first; the agent answers each.
var greetings = map[string]string{
	service.P11:     "\x00",
	"p11-kit":       "\x00",
	service.SSH:     "\x00\x00\x00\x01\x0b",
	service.SCD:     "GETINFO version\n",
	service.Control: `{"do":"status"}` + "\n",
}

// knock connects to a socket, says what programs say there, and tells what comes of it.
func knock(socket string) string {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "no connection"
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // a closed connection is told by what follows
	if _, err := io.WriteString(conn, greetings[filepath.Base(socket)]); err != nil {
		return "no answer"
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(conn, answer); err != nil {
		if os.IsTimeout(err) {
			return "a connection that stays open"
		}
		return "no answer"
	}
	return "an answer"
}

func knockAt(sockets string) {
	for socket := range strings.SplitSeq(sockets, ":") {
		fmt.Println(knock(socket))
	}
}
