package setup

import (
	"context"
	"os"
	"os/user"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// polkit lets a user or a group use readers without sitting at the console: over SSH,
// in a service, in a CI job. pcscd asks for the two actions, polkit(8) has the format.
func polkit() target {
	return target{
		name: "polkit", keyless: true, rules: true,
		needs:   []program{{names: []string{"pkcheck"}, pack: "polkitd"}},
		accepts: []Option{advice.User, advice.Group},
		plan:    planPolkit,
		check:   checkPolkit,
	}
}

func planPolkit(_ context.Context, j *job) (plan, error) {
	subject, kind, name := "", "user", j.User
	switch {
	case j.User != "":
		if _, err := user.Lookup(j.User); err != nil {
			return plan{}, problem.New(problem.NotFound, "there is no user of this name")
		}
		subject = "subject.user == " + inJSON(j.User)
	case j.Group != "":
		if _, err := user.LookupGroup(j.Group); err != nil {
			return plan{}, problem.New(problem.NotFound, "there is no group of this name")
		}
		subject, kind, name = "subject.isInGroup("+inJSON(j.Group)+")", "group", j.Group
	default:
		return plan{}, problem.New(problem.Usage, "nobody is named who may use the readers").
			Because("polkit allows them to a user or to a group.").Advise(advice.Repeat(advice.Fill(advice.Group)))
	}
	return plan{entries: []entry{j.polkitRule(kind+"-"+name, subject)}}, nil
}

// polkitRule allows a subject to use readers. Its name tells it apart from other rules.
func (j *job) polkitRule(name, subject string) *file {
	rule := `// Written by cardctl.
polkit.addRule(function (action, subject) {
    if ((action.id == "org.debian.pcsc-lite.access_pcsc" || action.id == "org.debian.pcsc-lite.access_card") &&
        ` + subject + `) {
        return polkit.Result.YES;
    }
});
`
	return &file{Path: j.Root + "/etc/polkit-1/rules.d/50-cardctl-" + name + ".rules", Mode: 0o644, Public: true, Whole: &whole{rule}}
}

// checkPolkit lists the readers as the user, or as a member of the group: the PC/SC
// service refuses it if polkit does.
func checkPolkit(ctx context.Context, j *job) (string, error) {
	name := j.User
	if name == "" {
		var err error
		if name, err = j.member(ctx, j.Group); err != nil {
			return "", err
		}
	}
	own, err := os.Executable()
	if err != nil {
		return "", err
	}
	if _, err := j.run(ctx, nil, "runuser", "-u", name, "--", own, "list-readers"); err != nil {
		return "", err
	}
	return name + " lists the readers", nil
}

// member is a user in a group.
func (j *job) member(ctx context.Context, group string) (string, error) {
	line, err := j.run(ctx, nil, "getent", "group", group)
	if err != nil {
		return "", err
	}
	fields := strings.Split(strings.TrimSpace(line), ":") // group(5): name, password, number, members
	if members := strings.Split(fields[len(fields)-1], ","); members[0] != "" {
		return members[0], nil
	}
	return "", problem.New(problem.NotFound, "the group has no members, so nobody can be checked").
		Advise(advice.Run("adduser", "NAME", group))
}
