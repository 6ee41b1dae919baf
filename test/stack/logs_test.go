package stack

import (
	"fmt"
	"strings"
	"testing"
)

// failed is a test that has failed, and keeps what it logs.
type failed struct {
	testing.TB
	said string
}

func (f *failed) Failed() bool { return true }

func (f *failed) Logf(format string, args ...any) { f.said += fmt.Sprintf(format, args...) }

func TestAFailedTestShowsLogs(t *testing.T) {
	d := NewDesk(t)
	d.Start("long.log", "sh", "-c", "echo begin; head -c 100000 /dev/zero | tr '\\0' x; echo; echo end")
	d.Start("short.log", "sh", "-c", "echo only")
	d.Eventually("both are written", func() bool {
		return strings.Contains(string(d.Read("long.log")), "end") && strings.Contains(string(d.Read("short.log")), "only")
	})
	f := &failed{TB: t}
	(&Desk{tb: f, dir: d.dir, logs: d.logs}).explain()
	if !strings.Contains(f.said, "end") || !strings.Contains(f.said, "only") || strings.Contains(f.said, "begin") || len(f.said) > 2*shownOfLog {
		t.Errorf("it shows %d bytes: %s", len(f.said), f.said)
	}
}
