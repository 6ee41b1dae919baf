package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Where Linux systems have PC/SC lite, from the root.
const daemonSocket = "run/pcscd/pcscd.comm"

func daemonPaths() []string {
	return []string{"usr/sbin/pcscd", "usr/bin/pcscd", "usr/local/sbin/pcscd"}
}

func (e *examination) service(ctx context.Context) Check {
	check := Check{Name: "pcsc-service", Result: Pass, Detail: "the PC/SC service answers"}
	readers, err := e.probe.Readers(ctx)
	if err == nil {
		e.reached, e.found = true, readers
		return check
	}
	check.Result, check.Detail = Fail, "the PC/SC service cannot be used: "+err.Error()
	var known *problem.Error
	if errors.As(err, &known) {
		check.Next = known.Next
		if known.Code == problem.NotSupported {
			check.Result = Skip
			return check
		}
	}
	if e.probe.OS == "linux" {
		e.whyNoDaemon(ctx, &check)
	}
	return check
}

// whyNoDaemon finds out why PC/SC lite's daemon does not answer.
func (e *examination) whyNoDaemon(ctx context.Context, check *Check) {
	if !e.exists(daemonSocket) {
		if !e.installed() {
			check.Detail = "the PC/SC daemon pcscd is not installed"
			check.Next = advice.Run("apt", "install", "pcscd")
			return
		}
		check.Detail = "the PC/SC daemon is installed, but is not running: no socket /" + daemonSocket
		check.Next = e.startDaemon("enable", "--now")
		return
	}
	err := e.probe.Dial(ctx, "/"+daemonSocket)
	switch {
	case errors.Is(err, fs.ErrPermission):
		check.Detail = "this user may not open the PC/SC daemon's socket /" + daemonSocket
		check.Next = advice.Run("ls", "-l", "/"+daemonSocket)
	case errors.Is(err, syscall.ECONNREFUSED):
		check.Detail = "the PC/SC daemon has ended and left its socket /" + daemonSocket + " behind"
		check.Next = e.startDaemon("restart")
	case err == nil:
		// The daemon accepts the connection, and then refuses.
		check.Next = advice.Do(advice.SetUp, advice.Fill(advice.User)).On("polkit")
	}
}

// startDaemon starts the daemon by its socket, or itself where there is no systemd.
func (e *examination) startDaemon(how ...string) advice.Advice {
	switch {
	case e.exists("run/systemd/system"):
	case e.probe.Administrator:
		return advice.Run("pcscd")
	default:
		return advice.Run("sudo", "pcscd")
	}
	return advice.Run(append(append([]string{"systemctl"}, how...), "pcscd.socket")...)
}

func (e *examination) installed() bool {
	for _, path := range daemonPaths() {
		if e.exists(path) {
			return true
		}
	}
	return false
}

func (e *examination) exists(path string) bool {
	_, err := fs.Stat(e.probe.Root, path)
	return err == nil
}

func (e *examination) readers(context.Context) Check {
	check := Check{Name: "readers", Result: Pass}
	switch {
	case !e.reached:
		check.Result, check.Detail = Skip, "no PC/SC service to ask"
	case len(e.found) == 0:
		check.Result, check.Detail = Warn, "no reader is connected"
		check.Next = waitForCard()
	default:
		names := make([]string, len(e.found))
		for i, r := range e.found {
			names[i] = r.Name
		}
		check.Detail = fmt.Sprintf("%d: %s", len(names), strings.Join(names, "; "))
	}
	return check
}

// waitForCard has a person put in a reader or a card.
func waitForCard() advice.Advice {
	return advice.Do(advice.ListReaders, advice.Switch(advice.Wait))
}

func (e *examination) cards(context.Context) Check {
	check := Check{Name: "cards", Result: Pass}
	if !e.reached {
		check.Result, check.Detail = Skip, "no PC/SC service to ask"
		return check
	}
	var present, mute []string
	for _, r := range e.found {
		switch {
		case r.Mute:
			mute = append(mute, r.Name)
		case r.CardPresent:
			present = append(present, r.Name)
		}
	}
	switch {
	case len(mute) > 0:
		check.Result, check.Detail = Warn, "a card that does not answer, and may be dirty or inserted the wrong way round, in: "+strings.Join(mute, "; ")
		check.Next = waitForCard()
	case len(present) == 0:
		check.Result, check.Detail = Warn, "no card in any reader"
		check.Next = waitForCard()
	default:
		check.Detail = "a card in: " + strings.Join(present, "; ")
	}
	return check
}
