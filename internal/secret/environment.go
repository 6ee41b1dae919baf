package secret

import (
	"runtime"
	"slices"
	"strings"
)

// Names lists the secrets of the command line's contract.
func Names() []Name {
	return []Name{PIN, AdminPIN, CurrentAdminPIN, SOPIN, CurrentSOPIN, PUK, ResetCode, NewPIN, Password, ManagementKey, CardKeys, NewCardKeys}
}

// Variable is the environment variable that holds the secret where its flag is
// not given: CARDCTL_ADMIN_PIN.
func (n Name) Variable() string {
	return "CARDCTL_" + strings.ToUpper(strings.ReplaceAll(string(n), "-", "_"))
}

// FilterEnv returns env without the variables that hold secrets: those of
// Names, and those that env: sources name. It is what a child process may get.
func FilterEnv(env []string, sources ...Source) []string {
	var hidden []string
	for _, n := range Names() {
		hidden = append(hidden, n.Variable())
	}
	for _, s := range sources {
		if s.kind == kindEnv {
			hidden = append(hidden, s.argument)
		}
	}
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(hidden, func(h string) bool { return sameVariable(name, h) })
	})
}

// lookup returns the value of a variable. The last entry counts where there are
// several, as for child processes.
func lookup(env []string, name string) (string, bool) {
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
