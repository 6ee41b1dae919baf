package setup

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// mozilla is a program with profiles and policies as Firefox has them.
type mozilla struct {
	name string // as a person knows it
	// homes are where its profiles are, from the home directory or, after a +, from the
	// directory for configurations.
	homes []string
	// policies is the file that it reads, packaged the one that it reads without that.
	policies, packaged string
}

// profileOf is the directory of the profile that is meant: the one that was named, or
// the only one that was used.
func (m *mozilla) profileOf(j *job) (string, error) {
	if j.Profile != "" {
		info, err := os.Stat(j.Profile)
		if err != nil || !info.IsDir() {
			return "", problem.New(problem.NotFound, "there is no profile %s", j.Profile).Because("It is not a directory.").
				Advise(advice.Repeat().Without(advice.Profile))
		}
		return j.Profile, nil
	}
	var all []string
	for _, home := range m.homes {
		dir, below := filepath.Join(j.Home, home), strings.HasPrefix(home, "+")
		if below {
			dir = filepath.Join(j.config(), home[1:])
		}
		ini, err := readFile(filepath.Join(dir, "profiles.ini"))
		if err != nil {
			return "", err
		}
		all = append(all, profilesIn(dir, ini)...)
	}
	used := slices.DeleteFunc(slices.Clone(all), func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "cert9.db"))
		return err != nil
	})
	if len(used) == 0 {
		used = all
	}
	switch len(used) {
	case 0:
		return "", problem.New(problem.NotFound, "%s has no profile", m.name).
			Because("It makes one when it is started first.").Advise(advice.Say("Start %s and close it, and repeat the command.", m.name))
	case 1:
		return used[0], nil
	}
	return "", problem.New(problem.NotFound, "%s has several profiles", m.name).
		Because("They are %s.", strings.Join(used, ", ")).Advise(advice.Repeat(advice.Set(advice.Profile, used[0])))
}

// profilesIn are the directories of profiles that a profiles.ini names, and that exist.
func profilesIn(home string, ini []byte) []string {
	var dirs []string
	path, relative, profile := "", false, false
	end := func() {
		if profile && path != "" {
			if relative {
				path = filepath.Join(home, path)
			}
			if info, err := os.Stat(path); err == nil && info.IsDir() && !slices.Contains(dirs, path) {
				dirs = append(dirs, path)
			}
		}
		path, relative = "", false
	}
	for lines := bufio.NewScanner(bytes.NewReader(ini)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		name, value, _ := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "["):
			end()
			profile = strings.HasPrefix(line, "[Profile")
		case name == "Path":
			path = value
		case name == "IsRelative":
			relative = value == "1"
		}
	}
	end()
	return dirs
}
