//go:build !windows

package secret

import (
	"io/fs"
	"os"

	"github.com/cardctl/cardctl/internal/problem"
)

// readableByOthers are the permissions that a file with a secret must not
// give. Access control lists show in the group's bits.
const readableByOthers fs.FileMode = 0o044

// checkReaders refuses a file that group or others may read.
func checkReaders(_ *os.File, mode fs.FileMode, path string) error {
	if mode.Perm()&readableByOthers == 0 {
		return nil
	}
	return problem.New(problem.Usage, "others can read it").
		Because("Its permissions are %v: group or others may read a secret there.", mode.Perm()).
		Hint("chmod 600 '%s'", path)
}
