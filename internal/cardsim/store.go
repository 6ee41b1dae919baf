package cardsim

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Store keeps simulated cards in a directory: one state file a card (mode
// 0600), and beside it a lock that whoever has the card open holds.
type Store struct {
	dir string
}

// Errors that callers tell apart.
var (
	ErrExists   = errors.New("a simulated card with this name exists")
	ErrNotFound = errors.New("no simulated card has this name")
	ErrBusy     = errors.New("the simulated card is in use")
	ErrOptions  = errors.New("no such simulated card can be made")
	ErrName     = errors.New("a name of a simulated card is 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit")
)

// BusyError is ErrBusy with who holds the card.
type BusyError struct {
	Name string
	PID  int // 0 where it is not known
}

func (e *BusyError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%v: %s", ErrBusy, e.Name)
	}
	return fmt.Sprintf("%v: %s, by process %d", ErrBusy, e.Name, e.PID)
}

func (e *BusyError) Unwrap() error { return ErrBusy }

func busyHere(name string) error { return &BusyError{Name: name, PID: os.Getpid()} }

// Info is what List says of a card.
type Info struct {
	Name         string
	Applications []string
	Profile      string
	Serial       string // 8 hex digits
	Busy         bool   // open or attached, in some process
	PID          int    // of that process, where it is known
	Err          error  // why nothing else is known: not a state file
}

const stateSuffix, lockSuffix = ".json", ".lock"

// NewStore returns the store in a directory, which need not exist.
func NewStore(dir string) *Store { return &Store{dir: dir} }

func (s *Store) statePath(name string) string { return filepath.Join(s.dir, name+stateSuffix) }
func (s *Store) lockPath(name string) string  { return filepath.Join(s.dir, name+lockSuffix) }

func checkName(name string) error {
	const (
		plain   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		longest = 64
	)
	if len(name) == 0 || len(name) > longest || !strings.Contains(plain, name[:1]) || strings.Trim(name, plain+"._-") != "" {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}

// Create makes a card. It is ErrExists where there is one with the name.
func (s *Store) Create(name string, o Options) error {
	if err := checkName(name); err != nil {
		return err
	}
	state, err := manufacture(o)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("create simulated card %s: %w", name, err)
	}
	held, err := acquire(s.lockPath(name), name)
	if err != nil {
		return err
	}
	defer held.release()
	if _, err := os.Stat(s.statePath(name)); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	if err := writeAtomically(s.statePath(name), state); err != nil {
		return fmt.Errorf("create simulated card %s: %w", name, err)
	}
	return nil
}

// List returns all cards, sorted by name. A file that is no card's state is
// listed with the reason.
func (s *Store) List() ([]Info, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list simulated cards: %w", err)
	}
	var list []Info
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), stateSuffix)
		if !ok || entry.IsDir() || checkName(name) != nil {
			continue
		}
		list = append(list, s.info(name))
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

// Has reports whether there is a card of this name, which may be unreadable.
func (s *Store) Has(name string) bool {
	if checkName(name) != nil {
		return false
	}
	_, err := os.Lstat(s.statePath(name))
	return err == nil
}

func (s *Store) info(name string) Info {
	info := Info{Name: name}
	info.Busy, info.PID = holder(s.lockPath(name))
	data, err := os.ReadFile(s.statePath(name))
	if err != nil {
		info.Err = err
		return info
	}
	state, err := parseState(data)
	if err != nil {
		info.Err = fmt.Errorf("%s: %w", s.statePath(name), err)
		return info
	}
	info.Profile, info.Serial = state.Profile, state.Serial
	for _, app := range state.Applications {
		info.Applications = append(info.Applications, app.Name)
	}
	return info
}

// Delete removes a card, even one whose state cannot be read. It is a
// *BusyError where the card is open.
func (s *Store) Delete(name string) error {
	if err := s.exists(name); err != nil {
		return err
	}
	held, err := acquire(s.lockPath(name), name)
	if err != nil {
		return err
	}
	defer held.release()
	if err := os.Remove(s.statePath(name)); err != nil {
		return fmt.Errorf("delete simulated card %s: %w", name, err)
	}
	held.remove()
	return nil
}

func (s *Store) exists(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	_, err := os.Stat(s.statePath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return err
}

// Open takes a card out of the store; nobody else can open it until Close. It
// is ErrNotFound where there is none, a *BusyError where somebody has it, and
// ErrState where its file is damaged or not a card's.
func (s *Store) Open(name string, faults ...Fault) (*Card, error) {
	if err := s.exists(name); err != nil {
		return nil, err
	}
	held, err := acquire(s.lockPath(name), name)
	if err != nil {
		return nil, err
	}
	path := s.statePath(name)
	state, err := os.ReadFile(path)
	if err != nil {
		held.release()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
		}
		return nil, fmt.Errorf("open simulated card %s: %w", name, err)
	}
	card, err := newCard(name, state, &file{path: path, lock: held}, rand.Reader, faults)
	if err != nil {
		held.release()
		return nil, fmt.Errorf("open simulated card %s (%s): %w", name, path, err)
	}
	return card, nil
}

// file keeps the state of an open card.
type file struct {
	path string
	lock *lock
}

func (f *file) write(state []byte) error { return writeAtomically(f.path, state) }

func (f *file) suspend() { f.lock.suspend() }

func (f *file) resume(name string) ([]byte, error) {
	if !f.lock.isSuspended() {
		return nil, nil
	}
	if err := f.lock.resume(name); err != nil {
		return nil, err
	}
	return os.ReadFile(f.path)
}

// errReplaced is a card that was deleted, and perhaps made anew, while others
// could have it.
var errReplaced = errors.New("the simulated card was deleted")

func (f *file) close() error {
	f.lock.release()
	return nil
}

// writeAtomically replaces a file so that whoever reads it, and a program that
// is killed, finds the old one or the new one. It does not wait for the disk: a
// simulated card is not worth that at each command, and need not survive a
// machine without power.
func writeAtomically(path string, data []byte) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // of no effect once it is renamed
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
