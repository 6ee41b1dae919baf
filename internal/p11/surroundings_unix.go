//go:build unix

package p11

import (
	"os"
	"syscall"
)

// surroundings are what a module may change of the process, and what this program
// relies on.
type surroundings struct {
	directory *os.File // nil where it cannot be opened
	umask     int
}

// look notes them before a module is loaded.
func look() surroundings {
	directory, _ := os.Open(".")
	umask := syscall.Umask(0o077)
	syscall.Umask(umask)
	return surroundings{directory, umask}
}

// restore puts them back after a call of the module.
func (s surroundings) restore() {
	syscall.Umask(s.umask)
	if s.directory != nil {
		_ = s.directory.Chdir()
	}
}

// close is when nothing is called any more.
func (s surroundings) close() {
	if s.directory != nil {
		_ = s.directory.Close()
	}
}
