//go:build cgo && linux && stack

package hardening

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// Secrets that are nowhere by chance.
const (
	canaryPIN   = "Kanarie-PIN-7391"
	canaryAdmin = "Kanarie-ADM-28450"
	canaryNew   = "Kanarie-NEW-61583"
	canaryPUK   = "Kanarie-PUK-2845" // as long as an IsoApplet's
)

// TestMemoryAfterTheWork stops commands that used PINs when all is done but the
// writing of the result, and looks for the PINs in all memory of the process,
// which is what a core would have. The PINs come from files: what comes from the
// environment stays where the kernel put it.
func TestMemoryAfterTheWork(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("memory", 0)
	for _, name := range []string{"CARDCTL_PIN", "CARDCTL_ADMIN_PIN"} {
		d.Setenv(name, "")
	}
	pin := "file:" + d.Write("secret-pin", canaryPIN+"\n", 0o600)
	admin := "file:" + d.Write("secret-admin", canaryAdmin+"\n", 0o600)
	fresh := "file:" + d.Write("secret-new", canaryNew+"\n", 0o600)
	wrong := "file:" + d.Write("secret-wrong", canaryNew+"-no\n", 0o600)
	for _, line := range []string{
		"init --yes --pin $PIN --admin-pin $ADMIN",
		"gen-key -k OPENPGP.3 -a p256 --admin-pin $ADMIN",
		"gen-csr -k OPENPGP.3 --subject CN=a --pin $PIN",
		"gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --pin command:cat§secret-pin",
		"import-cert -k OPENPGP.3 --admin-pin $ADMIN $W/0.pem",
		"delete-cert -k OPENPGP.3 --yes --admin-pin $ADMIN",
		"set-pin user --pin $PIN --new-pin $NEW",
		"unblock-pin --admin-pin $ADMIN --new-pin $PIN",
		"set-pin reset-code --admin-pin $ADMIN --new-pin $NEW",
		"!gen-csr -k OPENPGP.3 --subject CN=a --pin $WRONG",
		"!set-pin user --pin $PIN --new-pin file:none",
	} {
		failing := strings.HasPrefix(line, "!")
		line = strings.NewReplacer("$PIN", pin, "$ADMIN", admin, "$NEW", fresh, "$WRONG", wrong, "$W", d.Path("."), "!", "").Replace(line)
		args := strings.Fields(line)
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, "§", " ")
		}
		if args[0] == "import-cert" {
			public := d.Write("public.pem", d.Run("cardctl", "export-key", "-k", "OPENPGP.3"), 0o600)
			d.Authority().Certify(public, "/CN=Floppy Head", "0.pem")
		}
		p := stopAtTheEnd(t, d, failing, append(args, "-o", "json"))
		looked := false // what is in the arguments has to be found
		for where, content := range p.memory(t) {
			looked = looked || bytes.Contains(content, []byte("secret-"))
			for _, canary := range []string{canaryPIN, canaryAdmin, canaryNew} {
				if n := bytes.Count(content, []byte(canary)); n > 0 {
					t.Errorf("%s: %s is in the memory of the process %d times, %s", args[0], canary, n, where)
				}
			}
		}
		if !looked {
			t.Errorf("%s: not even its arguments are in the memory", args[0])
		}
		p.goOn(t)
	}
}

// stopped is a process that waits for somebody to read what it writes.
type stopped struct {
	what   string
	cmd    *stack.Process
	output *os.File
}

// stopAtTheEnd runs cardctl with an output that takes nothing, and returns when
// it waits there: its standard output, or where it fails its standard error.
func stopAtTheEnd(t *testing.T, d *stack.Desk, failing bool, args []string) *stopped {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = w.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := io.Copy(w, zeros{}); !os.IsTimeout(err) {
		t.Fatalf("the pipe takes everything: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	p := &stopped{what: strings.Join(args, " "), output: r}
	if failing {
		p.cmd = d.Process(ctx, nil, w, "cardctl", args...)
	} else {
		p.cmd = d.Process(ctx, w, os.Stderr, "cardctl", args...)
	}
	pipe, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	d.Eventually(p.what+" writes its result", func() bool { return p.cmd.Writes(pipe) })
	return p
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// memory is what a process can write to, by address.
func (p *stopped) memory(t *testing.T) map[string][]byte {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d", p.cmd.PID())
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(filepath.Join(proc, "mem"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	regions := map[string][]byte{}
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		content := make([]byte, to-from)
		if _, err := mem.ReadAt(content, from); err == nil {
			regions[strings.TrimSpace(line)] = content
		}
	}
	if len(regions) < 5 {
		t.Fatalf("%s: only %d regions can be read", p.what, len(regions))
	}
	return regions
}

// goOn lets the process end.
func (p *stopped) goOn(t *testing.T) {
	t.Helper()
	_, _ = io.Copy(io.Discard, p.output)
	_ = p.output.Close()
	p.cmd.Wait()
}
