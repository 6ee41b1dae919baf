package pcsc

import (
	"context"
	"io/fs"
	"os"

	"github.com/cardctl/cardctl/internal/gnupg"
)

// daemonSockets are where PC/SC lite's daemon listens; the library takes
// another place from socketVariable.
var daemonSockets = [...]string{"/run/pcscd/pcscd.comm", "/var/run/pcscd/pcscd.comm"}

const socketVariable = "PCSCLITE_CSOCK_NAME"

// Holders lists the programs, other than this one, that are connected to the
// PC/SC daemon. The daemon does not say which of them holds which card. A
// program of another user is found only by root, except scdaemon, which is
// known by its name.
func Holders(ctx context.Context) []Process {
	names := map[string]bool{os.Getenv(socketVariable): true}
	for _, name := range daemonSockets {
		names[name] = true
	}
	delete(names, "")
	clients, err := socketClients(names)
	if err != nil {
		clients = nil
	}
	home, _ := os.UserHomeDir() // without one, no settings are found
	return holdersIn(ctx, os.DirFS("/"), clients, os.Getpid(), gnupg.User{ID: os.Getuid(), Home: home})
}

// holdersIn are the processes that have one of the sockets open. Where none is
// to be seen, it is scdaemon if that runs.
func holdersIn(ctx context.Context, root fs.FS, clients map[uint32]bool, self int, user gnupg.User) []Process {
	proc, err := fs.Sub(root, "proc")
	if err != nil {
		return nil
	}
	var open, known []Process
	for _, p := range processes(ctx, proc) {
		switch {
		case p.PID == self:
		case holdsSocket(proc, p.PID, clients):
			open = append(open, p)
		case p.Name == gnupg.CardDaemon:
			known = append(known, p)
		}
	}
	if len(open) == 0 {
		open = known
	}
	for i, p := range open {
		if p.Name == gnupg.CardDaemon {
			settings, err := gnupg.Of(root, p.PID, user)
			open[i].Shares = err == nil && settings.Shared
		}
	}
	sortHolders(open)
	return open
}
