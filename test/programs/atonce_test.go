//go:build stack

package programs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

const (
	// together is how long programs use one card, unless AT_ONCE has another time; and longer,
	// until they have used it so often.
	together = 2 * time.Minute
	atLeast  = 1000
	// most is how often one program uses it in that time, so that it is not done with early.
	most = 350
)

// TestProgramsAtOnce has Firefox, ssh, gpg and openssl use one card by the agent at once, all
// the time: every login, signature and handshake succeeds, and a person is asked once.
func TestProgramsAtOnce(t *testing.T) {
	d := stack.NewDesk(t)
	run := stack.Shared(t, "run-")
	d.Setenv("XDG_RUNTIME_DIR", run)
	d.Setenv("SSH_AUTH_SOCK", filepath.Join(run, "cardctl", "ssh"))
	initialOpenPGP(t, d)
	issue(t, d, openPGP.key, openPGP.algorithm)
	for _, key := range []string{"OPENPGP.1", "OPENPGP.2"} {
		d.Run("cardctl", "gen-key", "--key", key, "--algorithm", "p256")
	}
	ssh := sshLogin(t, d)
	d.Write("public.pem", d.Run("cardctl", "export-key", "--key", openPGP.key), 0o600)
	d.Write("message", "a message\n", 0o600)
	person(d)
	d.Person(stack.UserPIN)
	d.Run("cardctl", "agent")
	t.Cleanup(func() { d.Run("cardctl", "agent", "stop") })
	url := neverAgain(t, d)
	for _, target := range [][]string{{"firefox", "--key", openPGP.key, "--ca", d.Path("ca.pem")}, {"openssl", "--key", openPGP.key}} {
		d.Run("cardctl", append([]string{"setup", "--agent"}, target...)...)
	}
	gpg := gpgSigns(t, d)
	f := startFirefox(t, d, "")

	over := together
	if text := os.Getenv("AT_ONCE"); text != "" {
		var err error
		if over, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	before := operations(t, d)
	c := &crowd{t: t, over: over, begun: time.Now()}
	for name, use := range map[string]func(i int) stack.Result{
		"ssh": ssh, "gpg": gpg,
		"openssl": func(i int) stack.Result {
			return d.Try("sh", "-c", strings.ReplaceAll(`OPENSSL_CONF=config/cardctl/openssl.cnf openssl dgst -engine pkcs11 -keyform engine -sha256 -sign 'pkcs11:id=%03;type=private' -out signature-N message &&
				openssl dgst -sha256 -verify public.pem -signature signature-N message`, "-N", fmt.Sprint("-", i)))
		},
	} {
		c.all.Go(func() {
			c.member(name, func(i int) {
				if r := use(i); r.Exit != 0 {
					t.Errorf("%s, time %d: %v", name, i, r)
				}
			})
		})
	}
	c.member("Firefox", func(i int) {
		page := fmt.Sprint(url, "?", i)
		f.open(page)
		f.eventuallyShows(page)
		f.eventuallyShows(welcome)
	})
	c.all.Wait()
	n, did := operations(t, d)-before, int(c.did.Load())
	if did < atLeast || n < did {
		t.Errorf("the card was used %d times, by programs that did %d things", n, did)
	}
	t.Logf("the card was used %d times in %s, by programs that did %d things", n, time.Since(c.begun).Round(time.Second), did)
	if prompts := f.prompts(); len(prompts) > 0 {
		t.Errorf("Firefox asks: %q", prompts)
	}
	if n := d.Asked(); n != 1 {
		t.Errorf("a person was asked %d times", n)
	}
}

// crowd are programs that use a card at once, and how often they did.
type crowd struct {
	t     *testing.T
	over  time.Duration
	begun time.Time
	did   atomic.Int64
	all   sync.WaitGroup
}

// member is one of them: it does something again and again, evenly over the time, until all
// have done enough or something fails.
func (c *crowd) member(name string, do func(i int)) {
	i := 0
	for ; !c.t.Failed() && (time.Since(c.begun) < c.over || c.did.Load() < atLeast); i++ {
		time.Sleep(time.Until(c.begun.Add(c.over * time.Duration(i) / most)))
		do(i)
		c.did.Add(1)
	}
	c.t.Logf("%s: %d times", name, i)
	if i < atLeast/100 {
		c.t.Errorf("%s used the card %d times only", name, i)
	}
}

// operations is how often the agent's card was used.
func operations(t *testing.T, d *stack.Desk) int {
	t.Helper()
	var status struct{ Cards []struct{ Operations int } }
	if err := json.Unmarshal([]byte(d.Run("cardctl", "agent", "status", "--output", "json")), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Cards) != 1 {
		t.Fatalf("%+v", status)
	}
	return status.Cards[0].Operations
}

// neverAgain is the address of a server that remembers no session: each page is a login.
func neverAgain(t *testing.T, d *stack.Desk) string {
	t.Helper()
	const verify = "ssl_verify_client on;"
	configuration := strings.Replace(nginxConfiguration, verify, verify+" ssl_session_cache off; ssl_session_tickets off; keepalive_timeout 0;", 1)
	return serve(t, d, admission{authority: "ca.pem"}, configuration, "", "nginx", "-e", "stderr", "-c")
}

// sshLogin logs in by the agent's door for SSH.
func sshLogin(t *testing.T, d *stack.Desk) func(int) stack.Result {
	t.Helper()
	port := sshServer(t, d, openPGP)
	public := d.Write("login.pub", d.Run("cardctl", "export-key", "--key", openPGP.key, "--format", "ssh"), 0o600)
	return func(int) stack.Result {
		return d.Try("ssh", "-F", "none", "-p", port, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
			"-o", "IdentitiesOnly=yes", "-o", "IdentityFile="+public, "root@localhost", "true")
	}
}

// gpgSigns signs and verifies by the agent's door for GnuPG.
func gpgSigns(t *testing.T, d *stack.Desk) func(int) stack.Result {
	t.Helper()
	d.Setenv("GNUPGHOME", stack.Shared(t, "gnupg-"))
	d.Run("cardctl", "setup", "gpg", "--agent", "--key", "OPENPGP.1")
	t.Cleanup(func() { d.Run("gpgconf", "--kill", "all") })
	d.Run("gpgconf", "--kill", "gpg-agent")
	d.Run("gpg", "--card-status")
	return func(i int) stack.Result {
		return d.Try("sh", "-c", strings.ReplaceAll("gpg --batch --output message-N.gpg --detach-sign message && gpg --batch --verify message-N.gpg message", "-N", fmt.Sprint("-", i)))
	}
}
