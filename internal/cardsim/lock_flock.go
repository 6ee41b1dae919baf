//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package cardsim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// lock is held while a card is open, except while it is suspended.
type lock struct {
	f         *os.File
	suspended bool
}

// acquire takes the lock or says who has it. Whoever only asks who has it
// holds it for a moment, hence the second try.
func acquire(path, name string) (*lock, error) {
	const tries, pause = 5, 10 * time.Millisecond
	for i := 0; ; i++ {
		l, err := tryAcquire(path)
		switch {
		case err == nil:
			return l, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, fmt.Errorf("lock simulated card %s: %w", name, err)
		case i == tries:
			return nil, &BusyError{Name: name, PID: readPID(path)}
		}
		time.Sleep(pause)
	}
}

// tryAcquire is EWOULDBLOCK where another has the lock, or removed its file
// between two steps.
func tryAcquire(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := takeAndSign(f, path); err != nil {
		f.Close()
		return nil, err
	}
	return &lock{f: f}, nil
}

func takeAndSign(f *os.File, path string) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if err != nil || !os.SameFile(mine, there) {
		return syscall.EWOULDBLOCK
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// remove takes the file of the lock away, while it is held.
func (l *lock) remove() { _ = os.Remove(l.f.Name()) }

// release gives the lock free. Closing the file alone would do so only when the programs have
// begun that were started meanwhile.
func (l *lock) release() {
	l.suspend()
	_ = l.f.Close() // it is unlocked
}

// suspend gives the lock free until resume. The file stays open, so that no
// other one can be taken for it.
func (l *lock) suspend() {
	if l.suspended {
		return
	}
	_ = l.f.Truncate(0)
	l.suspended = syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN) == nil
}

// isSuspended reports whether others may have had the lock.
func (l *lock) isSuspended() bool { return l.suspended }

// resume takes the lock again, or says who has it. It is errReplaced if its file
// does not exist any more: the card was deleted.
func (l *lock) resume(name string) error {
	const tries, pause = 5, 10 * time.Millisecond
	path := l.f.Name()
	err := syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for i := 0; errors.Is(err, syscall.EWOULDBLOCK) && i < tries; i++ {
		time.Sleep(pause)
		err = syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return &BusyError{Name: name, PID: readPID(path)}
	case err != nil:
		return fmt.Errorf("lock simulated card %s: %w", name, err)
	}
	l.suspended = false
	if err := takeAndSign(l.f, path); err != nil {
		return errReplaced
	}
	return nil
}

// holder says whether somebody has the lock.
func holder(path string) (busy bool, pid int) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false, 0
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		return true, readPID(path)
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // closing it does the same, later
	return false, 0
}

func readPID(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(data)))
	if err != nil {
		return 0
	}
	return pid
}
