package service

import (
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cardctl/cardctl/internal/problem"
)

// Sockets that a service manager hands over begin at this descriptor (sd_listen_fds(3)), and
// are not more than these.
const (
	firstInherited = 3
	mostInherited  = 16
)

// Inherited are the sockets that a service manager made, by the last parts of their names.
func Inherited(getenv func(string) string) (map[string]net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count < 0 || count > mostInherited {
		return nil, problem.New(problem.Usage, "the service manager does not say how many sockets there are")
	}
	sockets := map[string]net.Listener{}
	for i := range count {
		file := os.NewFile(uintptr(firstInherited+i), "inherited")
		listener, err := net.FileListener(file)
		_ = file.Close()
		if err != nil {
			return nil, problem.Wrap(problem.Failed, err, "a socket of the service manager")
		}
		sockets[filepath.Base(listener.Addr().String())] = listener
	}
	return sockets, nil
}
