package main

import (
	"regexp"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
)

// Set by the linker in a release: -X main.version=1.2.3 -X main.commit=… -X main.date=….
var version, commit, date string

type versionReport struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	Date      string `json:"date,omitempty"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
	PCSC      bool   `json:"pcsc"`
	PKCS11    bool   `json:"pkcs11"`
}

func newVersionCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version and what this build supports",
		Example: "  cardctl version\n  cardctl version -o json",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return runVersion(env) },
	}
}

func runVersion(env *session) error {
	report := versionReport{
		Version: version, Commit: commit, Date: date,
		GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		PCSC: native, PKCS11: native,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		report.complete(info)
	}
	return env.result("Version", report, func(s *output.Sheet) {
		s.Heading("cardctl " + report.Version)
		s.Field("commit", report.Commit)
		s.Field("date", report.Date)
		s.Field("built with", report.GoVersion+" for "+report.Platform)
		s.Field("PC/SC", builtIn(report.PCSC))
		s.Field("PKCS#11", builtIn(report.PKCS11))
	})
}

// pseudoVersion is the end of a version that the go command made from a commit
// without a tag: its time, and the first twelve digits of its hash.
var pseudoVersion = regexp.MustCompile(`[-.](\d{14})-([0-9a-f]{12})(?:\+\S*)?$`)

// complete takes what the linker was not told from what the go command knew:
// of a repository its commit, of a module its version.
func (r *versionReport) complete(info *debug.BuildInfo) {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if r.Version == "" {
		r.Version = info.Main.Version
	}
	if r.Version == "" {
		r.Version = "(devel)"
	}
	if r.Commit != "" {
		return
	}
	if r.Commit, r.Date = settings["vcs.revision"], settings["vcs.time"]; r.Commit == "" {
		r.Commit, r.Date = ofPseudoVersion(info.Main.Version)
	}
	if r.Commit != "" && settings["vcs.modified"] == "true" {
		r.Commit += " with changes"
	}
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

func builtIn(yes bool) string {
	if yes {
		return "yes"
	}
	return "no, built without cgo"
}
