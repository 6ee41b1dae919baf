//go:build !windows

package secret

import (
	"io/fs"
	"os"

	"github.com/cardctl/cardctl/internal/advice"
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
	return problem.New(problem.Usage, "other users can read it").
		Because("The permissions of the file are %v. A file with a secret must be readable by its owner only.", mode.Perm()).
		Advise(advice.Run("chmod", "600", path))
}
