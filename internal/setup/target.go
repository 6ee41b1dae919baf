package setup

import (
	"context"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

// target is a program that can use a key.
type target struct {
	name string
	// needs are the programs that have to be installed.
	needs []program
	// machine says that it has one configuration, for all users.
	machine bool
	// rules says that User and Group are whom a rule of the system is for.
	rules bool
	// variable names the directory of the program, if it is not in the home directory.
	variable string
	// keyless says that it is set up without a key.
	keyless bool
	// optional says that a key may be named, and need not.
	optional bool
	// loads says that it loads a PKCS#11 module, which can be that of an agent.
	loads bool
	// accepts are the options that it knows besides key and module.
	accepts []Option
	// limits is what it cannot do, for doctor; empty for nothing that is known.
	limits string
	// parse has the program read its configuration before it is changed; nil if cardctl
	// parses it, or only writes files of its own.
	parse func(ctx context.Context, j *job) error
	// plan are the entries that make the program use the key.
	plan func(ctx context.Context, j *job) (plan, error)
	// check has the program use the key, and returns what it saw.
	check func(ctx context.Context, j *job) (string, error)
}

// plan is what is to be written, and what a person needs to know of it.
type plan struct {
	entries []entry
	// next are the commands that a person types afterwards, undone those after Undo:
	// restarts of services.
	next, undone []string
	// notes are what the person has to know: what is lowered, where the key is limited.
	notes []string
	// lasting is what stays after it was taken back.
	lasting []string
}

// targets are all of them, in the order of the help.
func targets() []target {
	return []target{firefox(), chromium(), thunderbird(), openVPN(), sshClient(), git(), gpg(), gpgsm(), gnupgPKCS11(), openssl(), nginx().target(), apache().target(), stunnel().target(), strongSwan(), wpaSupplicant(), java(), p11Kit(), polkit()}
}

// Names are the names of all targets.
func Names() []string {
	var names []string
	for _, t := range targets() {
		names = append(names, t.name)
	}
	return names
}

func targetNamed(name string) (target, error) {
	all := targets()
	at := slices.IndexFunc(all, func(t target) bool { return t.name == name })
	if at < 0 {
		return target{}, problem.New(problem.Usage, "no such target").Because("The targets are %s.", strings.Join(Names(), ", "))
	}
	return all[at], nil
}
