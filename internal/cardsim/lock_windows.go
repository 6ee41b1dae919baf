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

// errSharing is ERROR_SHARING_VIOLATION: another has the file open and does not
// share it.
const errSharing syscall.Errno = 32

// lock is held while a card is open: a file open for writing that nobody else
// may write. The system closes it with the process, however that ends.
type lock struct {
	f *os.File
}

// acquire takes the lock or says who has it. Whoever only asks who has it
// holds it for a moment, hence the second try.
func acquire(path, name string) (*lock, error) {
	const tries, pause = 5, 10 * time.Millisecond
	f, err := openAlone(path, syscall.OPEN_ALWAYS)
	for i := 0; errors.Is(err, errSharing) && i < tries; i++ {
		time.Sleep(pause)
		f, err = openAlone(path, syscall.OPEN_ALWAYS)
	}
	if errors.Is(err, errSharing) {
		return nil, &BusyError{Name: name, PID: readPID(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("lock simulated card %s: %w", name, err)
	}
	if err := sign(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &lock{f: f}, nil
}

// openAlone opens a file for writing. Others may read and delete it.
func openAlone(path string, disposition uint32) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE,
		syscall.FILE_SHARE_READ|syscall.FILE_SHARE_DELETE, nil, disposition, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// remove takes the file of the lock away, while it is held.
func (l *lock) remove() { _ = os.Remove(l.f.Name()) }

func (l *lock) release() {
	_ = l.f.Truncate(0)
	_ = l.f.Close() // gives the lock free
}

// suspend keeps the lock: here a file of a deleted card cannot be told from the
// next one's. Other processes get the card when it is closed.
func (l *lock) suspend() {}

func (l *lock) isSuspended() bool { return false }

func (l *lock) resume(string) error { return nil }

// holder says whether somebody has the lock.
func holder(path string) (busy bool, pid int) {
	f, err := openAlone(path, syscall.OPEN_EXISTING)
	if err != nil {
		busy = errors.Is(err, errSharing)
		if busy {
			pid = readPID(path)
		}
		return busy, pid
	}
	_ = f.Close()
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
