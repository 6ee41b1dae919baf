//go:build unix

package setup

import (
	"io/fs"
	"os"
	"syscall"
)

// trusted reports whether nobody but the user of this process, and root, could write a
// file.
func trusted(info fs.FileInfo) bool {
	return (owns(info, os.Geteuid()) || owns(info, 0)) && info.Mode()&0o022 == 0
}

// owns reports whether a file is of a user.
func owns(info fs.FileInfo, uid int) bool {
	stat, is := info.Sys().(*syscall.Stat_t)
	return is && int(stat.Uid) == uid
}
