package terminal

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// IsTerminal reports whether a stream is a terminal, so that progress may be
// shown on it.
func IsTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	ok := false
	onDescriptor(f, func(fd int) { ok = term.IsTerminal(fd) })
	return ok
}

// Width is the number of columns of a terminal, 0 where it is not known.
func Width(f *os.File) int {
	columns := 0
	onDescriptor(f, func(fd int) {
		if width, _, err := term.GetSize(fd); err == nil {
			columns = width
		}
	})
	return columns
}

func onDescriptor(f *os.File, do func(fd int)) {
	if control, err := f.SyscallConn(); err == nil {
		_ = control.Control(func(fd uintptr) { do(int(fd)) })
	}
}

// Plain reports whether the environment asks for text without colour and
// other escape sequences: NO_COLOR is set and not empty (no-color.org), or TERM
// is dumb.
func Plain(env []string) bool {
	return slices.ContainsFunc(env, func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		return name == "NO_COLOR" && value != "" || name == "TERM" && value == "dumb"
	})
}
