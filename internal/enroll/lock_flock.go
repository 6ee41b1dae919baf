//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package enroll

import (
	"errors"
	"os"
	"syscall"
)

// lock locks a file, which stays. Closing it would unlock it only when the programs have
// begun that were started meanwhile: until then they have it open, too.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // closing it does the same, later
		_ = f.Close()                                   // nothing was written
	}, nil
}
