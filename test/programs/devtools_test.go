//go:build stack

package programs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// devtools is a headless Chromium with one page, driven by the DevTools protocol on two
// pipes. What it evaluates is not bound by the policy of the page.
type devtools struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	number  int
	session string
	// requests are the addresses that the page asked for.
	requests []string
}

// headless starts Chromium as a user who is not root, for the time of the test.
func headless(t *testing.T) *devtools {
	t.Helper()
	home := stack.Shared(t, "headless-")
	giveTo(t, chromiumUser, home)
	theirs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirsToo, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.CreateTemp(t.TempDir(), "chromium")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "setpriv", "--reuid", chromiumUser, "--regid", "nogroup", "--clear-groups",
		"env", "-i", "PATH="+os.Getenv("PATH"), "HOME="+home, "TMPDIR="+home, "LC_ALL=C.UTF-8",
		"chromium", "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-background-networking", "--window-size=1024,768")
	cmd.ExtraFiles = []*os.File{theirs, theirsToo}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirs.Close(), theirsToo.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, _ = to.Close(), from.Close()
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("%s", text)
		}
	})
	if err := from.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &devtools{t: t, to: to, from: bufio.NewReader(from)}
}

// message is one of the protocol.
type message struct {
	ID     int             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// next reads a message, and keeps what the page asks for.
func (d *devtools) next() (m message) {
	d.t.Helper()
	text, err := d.from.ReadBytes(0)
	if err == nil {
		err = json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m)
	}
	if err != nil {
		d.t.Fatalf("Chromium: %v", err)
	}
	if m.Method == "Network.requestWillBeSent" {
		var sent struct{ Request struct{ URL string } }
		if err := json.Unmarshal(m.Params, &sent); err != nil {
			d.t.Fatal(err)
		}
		d.requests = append(d.requests, sent.Request.URL)
	}
	return m
}

// call runs a method and reads its result.
func (d *devtools) call(method string, params map[string]any, result any) {
	d.t.Helper()
	d.number++
	sent := map[string]any{"id": d.number, "method": method}
	if params != nil {
		sent["params"] = params
	}
	if d.session != "" {
		sent["sessionId"] = d.session
	}
	text, err := json.Marshal(sent)
	if err == nil {
		_, err = d.to.Write(append(text, 0))
	}
	if err != nil {
		d.t.Fatal(err)
	}
	for {
		m := d.next()
		if m.ID != d.number {
			continue
		}
		if m.Error != nil {
			d.t.Fatalf("%s: %s", method, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				d.t.Fatal(err)
			}
		}
		return
	}
}

// open opens a page and waits until it is loaded.
func (d *devtools) open(url string) {
	d.t.Helper()
	d.session = ""
	var target struct{ TargetID, SessionID string }
	d.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	d.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	d.session, d.requests = target.SessionID, nil
	d.call("Network.enable", nil, nil)
	d.call("Page.enable", nil, nil)
	d.call("Page.navigate", map[string]any{"url": url}, nil)
	for d.evaluate("document.readyState") != `"complete"` {
		time.Sleep(20 * time.Millisecond)
	}
}

// evaluate runs JavaScript and returns its result, or that of its promise, as JSON.
func (d *devtools) evaluate(expression string) string {
	d.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	d.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &answer)
	if answer.ExceptionDetails != nil {
		d.t.Fatalf("%.200s: %s", expression, answer.ExceptionDetails)
	}
	return string(answer.Result.Value)
}

// findings are what axe-core has against the page: a line each.
func (d *devtools) findings() []string {
	d.t.Helper()
	file := os.Getenv("CARDCTL_AXE")
	source, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatalf("CARDCTL_AXE is not the file of axe-core, as scripts/test.sh programs sets it: %v", err)
	}
	d.evaluate(string(source) + "\n;0")
	var found struct {
		Violations, Incomplete []struct {
			ID    string
			Nodes []struct{ HTML string }
		}
		Passes []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(d.evaluate("axe.run().then(r => ({violations: r.violations, incomplete: r.incomplete, passes: r.passes.map(p => ({id: p.id}))}))")), &found); err != nil {
		d.t.Fatal(err)
	}
	if len(found.Passes) < 10 {
		d.t.Errorf("axe-core checked only %d rules", len(found.Passes))
	}
	var lines []string
	for _, v := range append(found.Violations, found.Incomplete...) {
		for _, node := range v.Nodes {
			lines = append(lines, fmt.Sprintf("%s: %s", v.ID, strings.TrimSpace(node.HTML)))
		}
	}
	return lines
}
