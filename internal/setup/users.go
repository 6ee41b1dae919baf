package setup

import (
	"os/user"
	"strconv"

	"github.com/cardctl/cardctl/internal/problem"
)

// idsOf are the numbers of a user and of its group.
func idsOf(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, problem.New(problem.NotFound, "there is no user %s", name)
	}
	if uid, err = strconv.Atoi(u.Uid); err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return 0, 0, problem.Wrap(problem.NotSupported, err, "users have no numbers on this system")
	}
	return uid, gid, nil
}
