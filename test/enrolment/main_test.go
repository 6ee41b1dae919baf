//go:build stack

// Package enrolment gets certificates for simulated cards from servers: those that
// scripts/lib/servers.sh builds, on localhost.
package enrolment

import (
	"crypto/tls"
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }

// serve starts a server, which runs until the test ends, and waits until it speaks TLS at
// the port of localhost.
func serve(t *testing.T, d *stack.Desk, port, name string, args ...string) {
	t.Helper()
	d.Start(name+".log", name, args...)
	d.Eventually(name+" answers", func() bool {
		connection, err := tls.Dial("tcp", "localhost:"+port, &tls.Config{InsecureSkipVerify: true}) // the client verifies
		if err != nil {
			return false
		}
		return connection.Close() == nil
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s:\n%s", name, d.Read(name+".log"))
		}
	})
}
