package pcsc

import (
	"context"
	"io/fs"
	"os"
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
	return holdersIn(ctx, os.DirFS("/proc"), clients, os.Getpid())
}

// holdersIn are the processes that have one of the sockets open. Where none is
// to be seen, it is scdaemon if that runs.
func holdersIn(ctx context.Context, proc fs.FS, clients map[uint32]bool, self int) []Process {
	var open, known []Process
	for _, p := range processes(ctx, proc) {
		switch {
		case p.PID == self:
		case holdsSocket(proc, p.PID, clients):
			open = append(open, p)
		case p.Name == scdaemon:
			known = append(known, p)
		}
	}
	if len(open) == 0 {
		open = known
	}
	sortHolders(open)
	return open
}
