package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gnupg"
	"github.com/cardctl/cardctl/internal/p11"
)

func (e *examination) holders(ctx context.Context) Check {
	check := Check{Name: "card-holders", Result: Pass}
	if !e.reached {
		check.Result, check.Detail = Skip, "no PC/SC service to ask"
		return check
	}
	var held []string
	for _, r := range e.found {
		if r.Exclusive {
			held = append(held, r.Name)
		}
	}
	var names []string
	holders := e.probe.Holders(ctx)
	for _, p := range holders {
		names = append(names, fmt.Sprintf("%s (process %d)", p.Name, p.PID))
	}
	connected := "; no other program seems to be connected to the service"
	if len(names) > 0 {
		connected = "; connected to the service: " + strings.Join(names, ", ")
	}
	if len(held) == 0 {
		check.Detail = "no program holds a card exclusively" + connected
		return check
	}
	check.Result, check.Detail = Warn, "a program holds the card exclusively in: "+strings.Join(held, "; ")+connected
	check.Next = advice.Say("Close the program that uses the card.")
	if len(holders) > 0 && holders[0].Name == gnupg.CardDaemon {
		check.Next = releaseByScdaemon()
	}
	return check
}

func (e *examination) scdaemon(ctx context.Context) Check {
	check := Check{Name: "scdaemon", Result: Pass, Detail: "GnuPG's card daemon is not running"}
	if e.probe.OS != "linux" {
		check.Result, check.Detail = Skip, "checked on Linux only"
		return check
	}
	pid, ok := e.running(gnupg.CardDaemon)
	if !ok {
		return check
	}
	check.Result, check.Next = Warn, releaseByScdaemon()
	settings, err := gnupg.Of(e.probe.Root, pid, e.probe.User)
	use := "; it holds a card that it uses exclusively. With pcsc-shared in its scdaemon.conf, it shares cards"
	switch {
	case e.drivesUSB(pid):
		use = "; it drives a USB reader itself, which the PC/SC service then cannot use. With disable-ccid in its scdaemon.conf, it uses that service"
	case err != nil:
		use = "; it holds a card that it uses exclusively, unless its scdaemon.conf has pcsc-shared. That file cannot be read"
	case settings.Shared && e.exclusive():
		use = "; its scdaemon.conf has pcsc-shared, but it reads that only when it starts"
	case settings.Shared:
		use = "; it shares cards, because its scdaemon.conf has pcsc-shared"
		if settings.PCSCOnly {
			check.Result, check.Next = Pass, advice.Advice{}
		}
	}
	check.Detail = fmt.Sprintf("GnuPG's card daemon is running (process %d)%s", pid, use)
	if err == nil && !settings.PCSCOnly && !e.drivesUSB(pid) {
		check.Detail += ". Without disable-ccid there, it may take a USB reader away from the PC/SC service"
	}
	return check
}

func releaseByScdaemon() advice.Advice { return advice.Run("gpgconf", "--kill", gnupg.CardDaemon) }

// exclusive reports whether a program has a card to itself.
func (e *examination) exclusive() bool {
	return slices.ContainsFunc(e.found, func(r Reader) bool { return r.Exclusive })
}

// drivesUSB reports whether the process has a USB device open. It is false where we may
// not look.
func (e *examination) drivesUSB(pid int) bool {
	directory := path.Join("proc", strconv.Itoa(pid), "fd")
	entries, err := fs.ReadDir(e.probe.Root, directory)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(entry fs.DirEntry) bool {
		target, err := fs.ReadLink(e.probe.Root, path.Join(directory, entry.Name()))
		return err == nil && strings.HasPrefix(target, "/dev/bus/usb/")
	})
}

// running looks for a process by its name in proc(5).
func (e *examination) running(name string) (pid int, ok bool) {
	entries, err := fs.ReadDir(e.probe.Root, "proc")
	if err != nil {
		return 0, false
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		comm, err := fs.ReadFile(e.probe.Root, "proc/"+entry.Name()+"/comm")
		if err != nil || strings.TrimSpace(string(comm)) != name {
			continue
		}
		// One that is over and not waited for has no command line any more.
		line, err := fs.ReadFile(e.probe.Root, "proc/"+entry.Name()+"/cmdline")
		if err != nil || len(line) > 0 {
			return pid, true
		}
	}
	return 0, false
}

func (e *examination) modules(ctx context.Context) Check {
	check := Check{Name: "pkcs11-modules", Result: Pass}
	list := e.probe.Modules(ctx)
	if len(list) == 0 {
		check.Result, check.Detail = Warn, "no PKCS#11 module was found"
		check.Next = e.installOpenSC()
		return check
	}
	parts := make([]string, len(list))
	usable := 0
	for i, m := range list {
		parts[i] = m.describe()
		if m.Err == nil {
			usable++
		}
	}
	check.Detail = strings.Join(parts, "; ")
	switch usable {
	case len(list):
	case 0:
		check.Result = Fail
		check.Next = e.installOpenSC()
	default:
		check.Result = Warn
	}
	return check
}

// installOpenSC is the way to a module. Elsewhere than on Linux one may be in a
// place that only the person knows.
func (e *examination) installOpenSC() advice.Advice {
	if e.probe.OS == "linux" {
		return advice.Run("apt", "install", "opensc-pkcs11")
	}
	return advice.Do(advice.ListTokens, advice.Fill(advice.Module))
}

func (m ModuleStatus) describe() string {
	name := m.Name
	if m.Path != "" && m.Path != m.Name {
		name = strings.TrimSpace(m.Name + " " + m.Path)
	}
	if m.Err != nil {
		return name + " (cannot be used: " + m.Err.Error() + ")"
	}
	var facts []string
	switch {
	case m.Tokens == 1:
		facts = append(facts, "1 token")
	case m.Tokens >= 0:
		facts = append(facts, fmt.Sprintf("%d tokens", m.Tokens))
	}
	if p11.OnlyRSA(m.Path) {
		facts = append(facts, "RSA keys only")
	}
	if len(facts) == 0 {
		return name
	}
	return name + " (" + strings.Join(facts, ", ") + ")"
}
