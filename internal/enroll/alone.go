package enroll

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// errLocked is a file that another process has locked.
var errLocked = errors.New("another process has locked the file")

// alone keeps others from enrolling the same key until it is unlocked: each of them would
// get a certificate. A process that dies unlocks it.
func alone(o *Order) (unlock func(), err error) {
	name := o.Serial
	if name == "" { // a new key does not change the others
		name = pubkey.Fingerprint(o.PublicKey)
	}
	path, err := o.remembersIn(name + "\n" + o.Ref)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		path += ".lock"
		unlock, err = lock(path)
	}
	switch {
	case errors.Is(err, errLocked):
		return nil, problem.New(problem.CardBusy, "another cardctl is getting a certificate for %s", o.Ref).
			Because("Each of the two would get one. Nothing was asked for.").Advise(advice.Repeat())
	case err != nil:
		return nil, problem.Wrap(problem.Failed, err, "cannot remember the request").Advise(advice.Run("df", filepath.Dir(path)))
	}
	return unlock, nil
}
