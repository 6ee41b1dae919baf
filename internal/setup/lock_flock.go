//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package setup

import (
	"errors"
	"os"
	"syscall"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// lock keeps other runs, which remember what they write in the same directory, from
// changing configurations until it is unlocked. Closing the directory would unlock it only
// when the programs have begun that were started meanwhile.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(unwritable(dir, err), f.Close())
		}
		return nil, errors.Join(problem.New(problem.Failed, "another cardctl setup is running").
			Because("It might change the same files. Nothing was changed.").
			Advise(advice.Repeat()), f.Close())
	}
	return func() {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // closing it does the same, later
		_ = f.Close()                                   // nothing was written
	}, nil
}
