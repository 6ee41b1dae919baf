//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package cardsim

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// lock is held while a card is open: a file that must not exist before. One
// that a killed process left behind has to be deleted by hand.
type lock struct {
	path string
}

// acquire takes the lock or says who has it.
func acquire(path, name string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		_, pid := holder(path)
		return nil, &BusyError{Name: name, PID: pid}
	}
	if err != nil {
		return nil, fmt.Errorf("lock simulated card %s: %w", name, err)
	}
	_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("lock simulated card %s: %w", name, err)
	}
	return &lock{path: path}, nil
}

func (l *lock) release() { _ = os.Remove(l.path) }

// remove is for release, which follows.
func (l *lock) remove() {}

// suspend keeps the lock: here a file of a deleted card cannot be told from the
// next one's. Other processes get the card when it is closed.
func (l *lock) suspend() {}

func (l *lock) isSuspended() bool { return false }

func (l *lock) resume(string) error { return nil }

// holder says whether somebody has the lock.
func holder(path string) (busy bool, pid int) {
	data, err := os.ReadFile(path)
	if err != nil {
		return false, 0
	}
	pid, _ = strconv.Atoi(string(bytes.TrimSpace(data)))
	return true, pid
}
