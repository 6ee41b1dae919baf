package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

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
		check.Hint = known.Try
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

// whyNoDaemon tells apart why PC/SC lite's daemon does not answer.
func (e *examination) whyNoDaemon(ctx context.Context, check *Check) {
	if !e.exists(daemonSocket) {
		if !e.installed() {
			check.Detail = "the PC/SC daemon pcscd is not installed"
			check.Hint = "apt install pcscd (or the pcsc-lite package of this system)"
			return
		}
		check.Detail = "the PC/SC daemon is installed, but does not run: no socket /" + daemonSocket
		check.Hint = "systemctl enable --now pcscd.socket (or, without systemd, run pcscd as root)"
		return
	}
	err := e.probe.Dial(ctx, "/"+daemonSocket)
	switch {
	case errors.Is(err, fs.ErrPermission):
		check.Detail = "this user may not open the PC/SC daemon's socket /" + daemonSocket
		check.Hint = "ls -l /" + daemonSocket + " (everyone may write to it where pcscd made it)"
	case errors.Is(err, syscall.ECONNREFUSED):
		check.Detail = "the PC/SC daemon is gone and has left its socket /" + daemonSocket + " behind"
		check.Hint = "systemctl restart pcscd.socket (or, without systemd, run pcscd as root)"
	case err == nil:
		// The daemon takes the connection, and then refuses.
		check.Hint = "allow org.debian.pcsc-lite.access_pcsc and .access_card to this user in polkit, " +
			"or log in on the machine itself; pcscd --foreground --debug shows the refusal"
	}
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
		check.Result, check.Detail = Warn, "the PC/SC service has no reader"
		check.Hint = "plug a reader in, or use a simulated card: cardctl sim create NAME"
	default:
		names := make([]string, len(e.found))
		for i, r := range e.found {
			names[i] = r.Name
		}
		check.Detail = fmt.Sprintf("%d: %s", len(names), strings.Join(names, "; "))
	}
	return check
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
		check.Result, check.Detail = Warn, "a card that does not answer in: "+strings.Join(mute, "; ")
		check.Hint = "take the card out, look whether it is clean and the right way round, put it back"
	case len(present) == 0:
		check.Result, check.Detail = Warn, "no card in any reader"
		check.Hint = "cardctl list-readers --wait"
	default:
		check.Detail = "a card in: " + strings.Join(present, "; ")
	}
	return check
}
