package secret

import (
	"golang.org/x/sys/unix"

	"github.com/cardctl/cardctl/internal/problem"
)

// Guard keeps what the process knows out of core files, and from other programs of its user,
// which could otherwise attach to it as a debugger does.
func Guard() error {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err == nil {
		err = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "core files cannot be prevented")
	}
	return nil
}
