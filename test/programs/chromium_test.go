//go:build stack

package programs

import (
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// The names of its windows. That of a page is its title, or the server if Chromium shows
// an error of its own.
const (
	pinDialog = "Unlock Security Device"
	pageEnd   = " - Chromium"
)

func TestChromiumLogsIn(t *testing.T) {
	for _, card := range []card{openPGP, openPGPRSA, piv, isoApplet} {
		t.Run(card.name, func(t *testing.T) {
			d := card.desk(t)
			c := setUpChromium(t, d, card)
			c.start(nginx(t, d))
			dialog := c.eventually(pinDialog)
			c.types(dialog, card.pin)
			c.presses(dialog, "Return")
			c.eventually("nginx: " + welcome + pageEnd)
			c.keepPicture("Chromium", "nginx", card.name)

			c.another(apache(t, d))
			c.eventually("Apache: " + welcome + pageEnd)
			c.keepPicture("Chromium", "Apache", card.name)
			stack.Uses(t, "Chromium", card.name, card.with())
		})
	}
}

// After a wrong PIN Chromium asks again. If all that is cancelled, it shows that the
// server does not accept this.
func TestChromiumWithAWrongPIN(t *testing.T) {
	d := openPGP.desk(t)
	c := setUpChromium(t, d, openPGP)
	end := c.start(apache(t, d))
	first := c.eventually(pinDialog)
	c.types(first, "111111")
	c.presses(first, "Return")
	d.Eventually("Chromium asks again", func() bool { return c.window(pinDialog) != first })
	d.Eventually("Chromium shows its error", func() bool {
		if dialog := c.window(pinDialog); dialog != "" {
			c.presses(dialog, "Escape")
		}
		return c.window("localhost"+pageEnd) != ""
	})
	c.keepPicture("Chromium", "wrong PIN")
	end()
	if left := triesLeft(t, d); left != 2 {
		t.Errorf("%d tries left", left)
	}
}

// chromium is a Chromium of a user who is not root, because it does not run as root with
// its sandbox. It has a home, /etc and a screen of its own.
type chromium struct {
	t    *testing.T
	d    *stack.Desk
	home string
	etc  etc
	// runtime is the runtime directory of its user; empty for none.
	runtime string
}

const chromiumUser = "nobody"

// newChromium is one that was never started.
func newChromium(t *testing.T, d *stack.Desk) *chromium {
	t.Helper()
	home := stack.Shared(t, "chromium-")
	giveTo(t, chromiumUser, home)
	return &chromium{t: t, d: d, home: home, etc: copyOfEtc(t, d)}
}

// setUpChromium is a Chromium that uses the card without asking for the certificate, and
// trusts the desk's authority.
func setUpChromium(t *testing.T, d *stack.Desk, card card) *chromium {
	t.Helper()
	c := newChromium(t, d)
	setup := append([]string{"cardctl"}, card.setup("chromium")...)
	c.etc.run(append(setup, "--system", "--ca", d.Path("ca.pem"), "--url", "https://localhost")...)
	d.Run("env", append(c.environment(), setup...)...)
	giveTo(t, chromiumUser, c.home)
	return c
}

// environment are the arguments of env for its home.
func (c *chromium) environment() []string {
	all := []string{"-u", "XDG_CONFIG_HOME", "-u", "XDG_CACHE_HOME", "-u", "XDG_STATE_HOME", "-u", "XDG_RUNTIME_DIR", "HOME=" + c.home, "TMPDIR=" + c.home}
	if c.runtime != "" {
		all = append(all, "XDG_RUNTIME_DIR="+c.runtime, "CARDCTL_STATE_DIR="+c.home+"/cardctl")
	}
	return all
}

// asItsUser are the arguments of unshare to run a program as its user.
func (c *chromium) asItsUser(program ...string) []string {
	return c.etc.command(slices.Concat(
		[]string{"setpriv", "--reuid", chromiumUser, "--regid", "nogroup", "--clear-groups", "env"}, c.environment(), program,
	)...)
}

// giveTo makes a user the owner of a directory and of what is in it.
func giveTo(t *testing.T, name, directory string) {
	t.Helper()
	owner, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	err = filepath.WalkDir(directory, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// start runs Chromium on a screen in memory until the test ends, or until the function
// that it returns is called.
func (c *chromium) start(url string) (end func()) {
	c.t.Helper()
	c.d.Start("screen", "Xvfb", "-noreset", "-displayfd", "1", "-ac", "-screen", "0", "1024x768x24")
	number := regexp.MustCompile(`(?m)^\d+$`) // among warnings
	c.d.Eventually("the screen is there", func() bool {
		screen := number.FindString(string(c.d.Read("screen")))
		c.d.Setenv("DISPLAY", ":"+screen)
		return screen != ""
	})
	end = c.d.Start("chromium.log", "unshare", c.command(url)...)
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.keepPicture("Chromium", c.t.Name())
		}
	})
	return end
}

// another opens another page in the Chromium that runs.
func (c *chromium) another(url string) {
	c.t.Helper()
	c.d.Run("unshare", c.command(url)...)
}

// command are the arguments of unshare to run Chromium.
func (c *chromium) command(url string) []string {
	return c.asItsUser("chromium", "--no-first-run", "--password-store=basic", "--disable-background-networking", "--window-position=0,0", "--window-size=1024,768", url)
}

// window is the visible window of this name, or none.
func (c *chromium) window(name string) string {
	c.t.Helper()
	return strings.TrimSpace(c.d.Try("xdotool", "search", "--onlyvisible", "--name", name+"$").Stdout)
}

// eventually waits for a window.
func (c *chromium) eventually(name string) (window string) {
	c.t.Helper()
	c.d.Eventually("Chromium shows "+name, func() bool {
		window = c.window(name)
		return window != ""
	})
	return window
}

// types types a text into a window.
func (c *chromium) types(window, text string) {
	c.t.Helper()
	c.d.Run("xdotool", "windowfocus", "--sync", window, "type", text)
}

// presses presses a key in a window.
func (c *chromium) presses(window, key string) {
	c.t.Helper()
	c.d.Try("xdotool", "windowfocus", "--sync", window, "key", key) // a dialog may have gone
}

// keepPicture keeps a picture of the screen.
func (c *chromium) keepPicture(words ...string) {
	c.t.Helper()
	c.d.Run("import", "-window", "root", c.d.Path("screen.png"))
	keepPicture(c.t, c.d.Read("screen.png"), words...)
}
