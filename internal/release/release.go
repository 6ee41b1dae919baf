// Package release finds out which release or commit a build of the program is. What
// the build can do is left to the command line.
package release

import (
	"cmp"
	"regexp"
	"runtime/debug"
	"time"
)

// Release is a version, and the commit that it was built from.
type Release struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"` // of the commit, RFC 3339
}

// pseudoVersion is the end of a version that the go command made from a commit
// without a tag: its time, and the first twelve digits of its hash.
var pseudoVersion = regexp.MustCompile(`[-.](\d{14})-([0-9a-f]{12})(?:\+\S*)?$`)

// Completed takes what the linker was not told from what the go command knew:
// of a repository its commit, of a module its version.
func (r Release) Completed(info *debug.BuildInfo) Release {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	r.Version = cmp.Or(r.Version, info.Main.Version, "(devel)")
	if r.Commit != "" {
		return r
	}
	if r.Commit, r.Date = settings["vcs.revision"], settings["vcs.time"]; r.Commit == "" {
		r.Commit, r.Date = ofPseudoVersion(info.Main.Version)
	}
	if r.Commit != "" && settings["vcs.modified"] == "true" {
		r.Commit += " with changes"
	}
	return r
}

func ofPseudoVersion(version string) (commit, date string) {
	part := pseudoVersion.FindStringSubmatch(version)
	if part == nil {
		return "", ""
	}
	made, err := time.Parse("20060102150405", part[1])
	if err != nil {
		return "", ""
	}
	return part[2], made.Format(time.RFC3339)
}
