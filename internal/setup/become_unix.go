//go:build unix

package setup

import (
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/cardctl/cardctl/internal/problem"
)

// become makes this process one of another user, for good, so that whatever it writes or
// runs from then on is theirs and can do no more than they can. It returns their home
// directory.
func become(name string) (home string, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", problem.New(problem.NotFound, "there is no user of this name")
	}
	uid, _ := strconv.Atoi(u.Uid) // numbers on Unix
	if uid == os.Geteuid() {
		return u.HomeDir, nil
	}
	if os.Geteuid() != 0 {
		return "", problem.New(problem.Refused, "only root sets up programs of other users")
	}
	gid, _ := strconv.Atoi(u.Gid)
	ids, err := u.GroupIds()
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "the groups of the user are not known")
	}
	groups := make([]int, len(ids))
	for i, id := range ids {
		groups[i], _ = strconv.Atoi(id)
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(groups) },
		func() error { return syscall.Setgid(gid) },
		func() error { return syscall.Setuid(uid) },
	} {
		if err := step(); err != nil {
			return "", problem.Wrap(problem.Failed, err, "cardctl cannot work as this user")
		}
	}
	return u.HomeDir, os.Unsetenv("TMPDIR") // that of whoever ran this may be closed to them
}
