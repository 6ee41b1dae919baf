package stack

import (
	"fmt"
	"net"
	"testing"
)

// FreePort is a port of localhost on which nothing listens.
func FreePort(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}
