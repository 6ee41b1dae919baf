package setup

import (
	"context"
	"crypto/tls"
	_ "embed" // the script
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/marionette"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// checkTime is how long a program may take to log in.
const checkTime = 90 * time.Second

// checkFirefox has Firefox log in to a server on loopback, without a window and in a
// profile of its own: a copy of that of the person, or a fresh one, which the policies of
// the system apply to.
func checkFirefox(ctx context.Context, j *job) (string, error) {
	if err := j.key.Alone(ctx); err != nil {
		return "", err
	}
	module, err := j.onePIN(ctx)
	if err != nil {
		return "", err
	}
	server, err := newTLSServer(j.key.certificate)
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "cannot start a server")
	}
	defer server.close()
	profile, err := j.checkProfile(ctx, server)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(profile)
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err = j.lendPIN(ctx, func(ctx context.Context, pin *secret.Bytes) error {
		f, err := j.startFirefox(ctx, profile)
		if err != nil {
			return err
		}
		defer f.end()
		if err := f.logIn(ctx, server, module, j.key.token.Label, pin); err != nil || j.Picture == "" {
			return err
		}
		return f.keepPicture(ctx, j.Picture)
	})
	if err != nil {
		return "", err
	}
	return server.report("Firefox"), nil
}

// lendPIN is SendPIN of a token that needs a login. The module of another one asks for the
// PIN itself, and gets none.
func (j *job) lendPIN(ctx context.Context, use func(context.Context, *secret.Bytes) error) error {
	if j.key.token.LoginRequired {
		return j.sendPIN(ctx, use)
	}
	return use(ctx, nil)
}

// checkProfile makes a profile that trusts the server.
func (j *job) checkProfile(ctx context.Context, server *tlsServer) (dir string, err error) {
	if dir, err = temporary(); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	if !j.System {
		from, err := ofFirefox().profileOf(j)
		if err != nil {
			return "", err
		}
		if err := copyProfile(dir, from); err != nil {
			return "", err
		}
	}
	database := nss{Dir: dir, run: j.runProgram}
	if !database.exists() {
		if err := (&nssDatabase{nss: database}).write(ctx); err != nil {
			return "", err
		}
	}
	authority := &nssAuthority{nss: database, Name: "cardctl check", DER: server.authority, Trust: string(forServers)}
	if err := authority.write(ctx); err != nil {
		return "", err
	}
	return dir, appendTo(filepath.Join(dir, "user.js"), checkPreferences)
}

// checkPreferences let the profile be driven, choose the certificate without a question,
// and keep the network quiet.
const checkPreferences = `
user_pref("marionette.port", 0);
user_pref("security.default_personal_cert", "Select Automatically");
user_pref("network.proxy.type", 0);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.page", 0);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("app.normandy.enabled", false);
`

// copyProfile copies what a profile has about certificates, and its preferences.
func copyProfile(to, from string) error {
	return copyFiles(to, from, "cert9.db", "key4.db", "pkcs11.txt", "prefs.js", "user.js")
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return unwritable(path, err)
	}
	return nil
}

// runningFirefox is a Firefox without a window.
type runningFirefox struct {
	session *marionette.Session
	stop    func()
	ended   chan struct{}
}

// startFirefox starts Firefox in a profile, and returns when it can be driven.
func (j *job) startFirefox(ctx context.Context, profile string) (*runningFirefox, error) {
	name := "firefox-esr"
	if find(name) == "" {
		name = "firefox"
	}
	running, stop := context.WithCancel(ctx)
	f := &runningFirefox{stop: stop, ended: make(chan struct{})}
	var failed error
	go func() {
		defer close(f.ended)
		_, failed = j.runProgram(running, runner.Program{
			Name: name, Args: []string{"--headless", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", profile, "about:blank"},
		})
	}()
	address := ""
	err := until(ctx, func() bool {
		select {
		case <-f.ended:
			return true
		default:
		}
		var err error
		address, err = marionette.Address(profile)
		return err == nil
	})
	if err == nil && address == "" {
		err = errors.Join(errors.New("it ended"), failed)
	}
	if err == nil {
		f.session, err = marionette.Dial(ctx, address)
	}
	if err != nil {
		stop()
		<-f.ended
		return nil, problem.Wrap(problem.Failed, err, "Firefox does not start")
	}
	return f, nil
}

// end ends it, so that it leaves the card.
func (f *runningFirefox) end() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = f.session.Quit(ctx)
	select {
	case <-f.ended:
	case <-ctx.Done():
	}
	f.stop()
	<-f.ended
}

// loadsModule waits until Firefox has loaded the module: it adds those of policies after
// its start.
//
//go:embed loads_module.js
var loadsModule string

// logIn types the PIN into the first prompt for this token, and opens the page.
func (f *runningFirefox) logIn(ctx context.Context, server *tlsServer, module, token string, pin *secret.Bytes) error {
	var loads bool
	err := f.session.SetContext(ctx, marionette.Chrome)
	if err == nil {
		err = f.session.Execute(ctx, loadsModule, &loads, module)
	}
	switch {
	case err != nil:
		return problem.Wrap(problem.Failed, err, "Firefox cannot be driven")
	case !loads:
		return problem.New(problem.Failed, "Firefox does not load the module").Because("Its security devices do not have %s.", module)
	}
	if pin != nil {
		if err := f.session.AnswerPassword(ctx, pin.Reveal(), token); err != nil {
			return problem.Wrap(problem.Failed, err, "Firefox cannot be driven")
		}
	}
	if err := f.open(ctx, server); err != nil {
		return problem.Wrap(problem.Failed, err, "Firefox does not open the page")
	}
	if server.loggedIn() != nil {
		return nil
	}
	prompts, err := f.session.Prompts(ctx)
	if err != nil {
		return problem.Wrap(problem.Failed, err, "Firefox cannot be driven")
	}
	return server.refused("Firefox", prompts)
}

// keepPicture writes a picture of the page, as PNG.
func (f *runningFirefox) keepPicture(ctx context.Context, path string) error {
	if err := f.session.SetContext(ctx, marionette.Content); err != nil {
		return problem.Wrap(problem.Failed, err, "Firefox cannot be driven")
	}
	shown := until(ctx, func() bool {
		var title string
		return f.session.Execute(ctx, "return document.title", &title) == nil && title == "Welcome"
	})
	if shown != nil {
		return problem.Wrap(problem.Failed, shown, "Firefox does not show the page")
	}
	picture, err := f.session.Screenshot(ctx)
	if err != nil {
		return problem.Wrap(problem.Failed, err, "Firefox makes no picture")
	}
	if err := output.WriteFile(path, picture, 0o644); err != nil {
		return problem.Wrap(problem.Failed, err, "cannot write "+path)
	}
	return nil
}

// open opens the page of the server, and returns when somebody has logged in, or when
// Firefox shows an error in its place. It may be asked for the PIN before.
func (f *runningFirefox) open(ctx context.Context, server *tlsServer) error {
	if err := f.session.SetContext(ctx, marionette.Content); err != nil {
		return err
	}
	err := f.session.Navigate(ctx, "https://localhost:"+strconv.Itoa(server.port)+"/")
	if page, shown := errors.AsType[*marionette.Error](err); shown && strings.Contains(page.Message, "Reached error page") {
		err = nil
	}
	if err != nil {
		return err
	}
	var failed error
	err = until(ctx, func() bool {
		var address string
		failed = f.session.Execute(ctx, "return document.documentURI", &address)
		return failed != nil || server.loggedIn() != nil || strings.HasPrefix(address, "about:neterror") || strings.HasPrefix(address, "about:certerror")
	})
	return errors.Join(err, failed, f.session.SetContext(ctx, marionette.Chrome))
}

// report is what the server saw.
func (s *tlsServer) report(program string) string {
	state := s.loggedIn()
	return fmt.Sprintf("%s logs in to a server on this machine with %s, as %s", program, tls.VersionName(state.Version), state.PeerCertificates[0].Subject)
}

// refused is why nobody logged in. Prompts are those that the program showed.
func (s *tlsServer) refused(program string, prompts []string) error {
	failed := problem.New(problem.Failed, "%s did not log in", program)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch {
	case s.other:
		return failed.Because("It sent another certificate.").Advise(advice.Do(advice.ShowCard))
	case len(prompts) == 0:
		return failed.Because("It asked for no PIN, so it does not offer the certificate.").Advise(advice.Do(advice.ShowCard))
	}
	return failed.Because("It asked: %s", problem.Sentence(strings.Join(prompts, " / ")))
}
