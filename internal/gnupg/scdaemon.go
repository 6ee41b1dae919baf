// Package gnupg reads how GnuPG's card daemon is set to use cards.
package gnupg

import (
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// CardDaemon is the name of GnuPG's card daemon, as proc(5) has it.
const CardDaemon = "scdaemon"

// Settings are what a card daemon was set to when its files were read. It reads them
// only when it starts.
type Settings struct {
	// Shared is pcsc-shared: it connects to a card in shared mode, and other programs
	// can use the card. Otherwise it keeps the card to itself for as long as it runs.
	Shared bool

	// PCSCOnly is disable-ccid: it reaches readers through PC/SC only. Otherwise it
	// may drive a USB reader itself, which PC/SC then does not have.
	PCSCOnly bool
}

// User is whose card daemon can be looked at: the number of the user, and their home.
type User struct {
	ID   int
	Home string
}

// system has the settings for all users, since GnuPG 2.3.
const system = "etc/gnupg/scdaemon.conf"

// ErrOtherUser is a card daemon of another user, whose files are not known.
var ErrOtherUser = errors.New("the card daemon of another user")

// Of reads the settings of a running card daemon. root is the file system from its
// root, with proc(5).
func Of(root fs.FS, pid int, user User) (Settings, error) {
	home, err := homeOf(root, pid, user)
	if err != nil {
		return Settings{}, err
	}
	var s Settings
	for _, name := range []string{system, path.Join(home, "scdaemon.conf")} {
		if err := s.read(root, name); err != nil {
			return Settings{}, err
		}
	}
	return s, nil
}

// homeOf is the home directory of GnuPG. gpg-agent names it to the daemon that it
// starts, unless it is the usual one.
func homeOf(root fs.FS, pid int, user User) (string, error) {
	process := path.Join("proc", strconv.Itoa(pid))
	line, err := fs.ReadFile(root, path.Join(process, "cmdline"))
	if err != nil {
		return "", err
	}
	arguments := strings.Split(string(line), "\x00")
	for i, argument := range arguments {
		option, isOption := strings.CutPrefix(argument, "--")
		name, home, joined := strings.Cut(option, "=")
		if !isOption || name != "homedir" {
			continue
		}
		if !joined && i+1 < len(arguments) {
			home = arguments[i+1]
		}
		return fromRoot(home)
	}
	status, err := fs.ReadFile(root, path.Join(process, "status"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Uid:" && fields[1] == strconv.Itoa(user.ID) {
			return fromRoot(path.Join(user.Home, ".gnupg"))
		}
	}
	return "", ErrOtherUser
}

// fromRoot is an absolute path as fs.FS has it.
func fromRoot(name string) (string, error) {
	name, absolute := strings.CutPrefix(path.Clean(name), "/")
	if !absolute || !fs.ValidPath(name) {
		return "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return name, nil
}

// read adds what a file sets. One that does not exist sets nothing.
func (s *Settings) read(root fs.FS, name string) error {
	content, err := fs.ReadFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "pcsc-shared":
			s.Shared = true
		case "disable-ccid":
			s.PCSCOnly = true
		}
	}
	return nil
}
