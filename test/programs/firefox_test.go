//go:build stack

package programs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/marionette"
	"github.com/cardctl/cardctl/test/stack"
)

func TestFirefoxLogsIn(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA, piv, isoApplet, token} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			setUpFirefox(d, c)
			f := startFirefox(t, d, c.pin)
			for name, start := range servers {
				f.open(start(t, d))
				f.eventuallyShows(welcome)
				f.keepPicture("Firefox", name, c.name)
			}
			if prompts := f.prompts(); len(prompts) != 1 || !strings.Contains(prompts[0], "authenticate to the security device") {
				t.Errorf("prompts: %q", prompts)
			}
			stack.Uses(t, "Firefox", c.name, c.with())
		})
	}
}

// After a wrong PIN Firefox asks again. If all that is cancelled, it goes on without a
// certificate, and shows that the server does not accept this.
func TestFirefoxWithAWrongPIN(t *testing.T) {
	d := openPGP.desk(t)
	setUpFirefox(d, openPGP)
	f := startFirefox(t, d, "111111")
	f.open(apache(t, d))
	f.eventuallyShows("SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT")
	f.keepPicture("Firefox", "wrong PIN")
	if prompts := f.prompts(); len(prompts) < 2 {
		t.Errorf("prompts: %q", prompts)
	}
	f.quit()
	if left := triesLeft(t, d); left != 2 {
		t.Errorf("%d tries left", left)
	}
}

// Firefox offers no certificate for a handshake that the key cannot make.
func TestFirefoxWithAKeyThatNeedsTLS12(t *testing.T) {
	c := openPGPRSA
	d := c.desk(t)
	setUpFirefox(d, c)
	c.tls12 = false
	if refused := d.Refused(append(c.setup("firefox"), "--profile", d.Path(profile))...); refused.Exit != 7 {
		t.Errorf("refused: %+v", refused)
	}
	d.Write(profile+"/user.js", userPreferences+"user_pref(\"security.tls.version.max\", 4);\n", 0o600)
	f := startFirefox(t, d, c.pin)
	f.open(nginx(t, d))
	f.eventuallyShows("No required SSL certificate was sent")
}

// profile is that of Firefox, in the directory of the desk.
const profile = "firefox"

// setUpFirefox makes a profile that uses the card, and trusts the desk's authority.
func setUpFirefox(d *stack.Desk, c card) {
	d.Write(profile+"/user.js", userPreferences, 0o600)
	setup(d, c, "firefox", "--profile", d.Path(profile), "--ca", d.Path("ca.pem"))
}

// firefox is a running Firefox without a window.
type firefox struct {
	t       *testing.T
	d       *stack.Desk
	session *marionette.Session
	end     func()
}

// startFirefox runs Firefox until the test ends. A person is there who answers the first
// prompt for a PIN, and cancels the next.
func startFirefox(t *testing.T, d *stack.Desk, pin string) *firefox {
	t.Helper()
	f := &firefox{t: t, d: d}
	d.Write(profile+"/user.js", string(d.Read(profile+"/user.js"))+"user_pref(\"marionette.port\", 0);\n", 0o600)
	f.end = d.Start("firefox.log", "firefox-esr", "--headless", "--marionette", "--remote-allow-system-access", "--profile", d.Path(profile))
	var address string
	d.Eventually("Firefox listens", func() (listens bool) {
		var err error
		address, err = marionette.Address(d.Path(profile))
		return err == nil
	})
	f.do(func(ctx context.Context) (err error) {
		f.session, err = marionette.Dial(ctx, address)
		return err
	})
	t.Cleanup(func() { _ = f.session.Close() })
	f.inChrome(func(ctx context.Context) error { return f.session.AnswerPassword(ctx, []byte(pin), "") })
	return f
}

// do does something with Firefox within a minute.
func (f *firefox) do(something func(context.Context) error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	if err := something(ctx); err != nil {
		f.t.Fatal(err)
	}
}

// inChrome does something with Firefox itself, instead of the page.
func (f *firefox) inChrome(something func(context.Context) error) {
	f.t.Helper()
	f.do(func(ctx context.Context) error { return f.session.SetContext(ctx, marionette.Chrome) })
	f.do(something)
	f.do(func(ctx context.Context) error { return f.session.SetContext(ctx, marionette.Content) })
}

// open opens a page, or the error in its place.
func (f *firefox) open(url string) {
	f.t.Helper()
	f.do(func(ctx context.Context) error {
		err := f.session.Navigate(ctx, url)
		if failed, ok := errors.AsType[*marionette.Error](err); ok && strings.Contains(failed.Message, "Reached error page") {
			return nil
		}
		return err
	})
}

// Error pages of Firefox have their text in elements of their own.
const shownText = `
const roots = [...document.querySelectorAll("*")].map(element => element.shadowRoot).filter(Boolean);
return [document.documentURI, document.body?.innerText, ...roots.map(root => root.textContent)].join("\n");`

// shown is the address and the text of the page.
func (f *firefox) shown() (text string) {
	f.t.Helper()
	f.do(func(ctx context.Context) error {
		return f.session.Execute(ctx, shownText, &text)
	})
	return text
}

// eventuallyShows waits until a text is on the page, or in its address.
func (f *firefox) eventuallyShows(text string) {
	f.t.Helper()
	shown := f.shown()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(shown, text); shown = f.shown() {
		if time.Now().After(deadline) {
			f.t.Fatalf("Firefox does not show %s, but %s", text, shown)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// prompts are the prompts for a PIN that it showed.
func (f *firefox) prompts() (prompts []string) {
	f.t.Helper()
	f.inChrome(func(ctx context.Context) (err error) {
		prompts, err = f.session.Prompts(ctx)
		return err
	})
	return prompts
}

// keepPicture keeps a picture of its window.
func (f *firefox) keepPicture(words ...string) {
	f.t.Helper()
	f.inChrome(func(ctx context.Context) error {
		picture, err := f.session.Screenshot(ctx)
		if err == nil {
			keepPicture(f.t, picture, words...)
		}
		return err
	})
}

// quit ends it, so that it leaves the card.
func (f *firefox) quit() {
	f.t.Helper()
	f.do(f.session.Quit)
	f.end()
}
