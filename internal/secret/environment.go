package secret

import (
	"runtime"
	"slices"
	"strings"
)

// Names lists the secrets of the command line's contract.
func Names() []Name {
	return []Name{
		PIN, AdminPIN, CurrentAdminPIN, SOPIN, CurrentSOPIN, PUK, ResetCode, NewPIN, Password, ManagementKey, CurrentManagementKey,
		NewManagementKey, CardKeys, NewCardKeys, ChallengePassword, IssuerSecret, IssuerPIN, LedgerPassword,
	}
}

// Variable is the environment variable that holds the secret where its flag is
// not given: CARDCTL_ADMIN_PIN.
func (n Name) Variable() string {
	return prefix + strings.ToUpper(strings.ReplaceAll(string(n), "-", "_"))
}

// public are the variables of cardctl that hold no secret. Any other of its
// variables may be one, also one of a later version or with a slip in its name.
var public = []string{"READER", "SERIAL", "MODULE", "OUTPUT", "APP", "STATE_DIR", "LEDGER"}

const prefix = "CARDCTL_"

// FilterEnv returns env without the variables that may hold secrets: those of
// cardctl but for the public ones, and those that env: sources name. It is what a
// child process may get.
func FilterEnv(env []string, sources ...Source) []string {
	var hidden []string
	for _, s := range sources {
		if s.kind == kindEnv {
			hidden = append(hidden, s.argument)
		}
	}
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		same := func(other string) bool { return sameVariable(name, other) }
		if len(name) >= len(prefix) && sameVariable(name[:len(prefix)], prefix) {
			return !slices.ContainsFunc(public, func(p string) bool { return same(prefix + p) }) || slices.ContainsFunc(hidden, same)
		}
		return slices.ContainsFunc(hidden, same)
	})
}

// Lookup returns the value of a variable. The last entry counts where there are
// several, as for child processes.
func Lookup(env []string, name string) (string, bool) {
	for _, entry := range slices.Backward(env) {
		if n, value, ok := strings.Cut(entry, "="); ok && sameVariable(n, name) {
			return value, true
		}
	}
	return "", false
}

func sameVariable(a, b string) bool {
	if runtime.GOOS == "windows" {
		return strings.EqualFold(a, b)
	}
	return a == b
}
