package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/release"
	"github.com/cardctl/cardctl/internal/typed"
)

// Set by the linker in a release: -X main.version=1.2.3 -X main.commit=… -X main.date=….
var version, commit, date string

type versionReport struct {
	release.Release
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
		Args:    typed.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return runVersion(env) },
	}
}

func runVersion(env *session) error {
	report := versionReport{
		Release:   release.Release{Version: version, Commit: commit, Date: date},
		GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		PCSC: native, PKCS11: native,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		report.Release = report.Completed(info)
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

func builtIn(yes bool) string {
	if yes {
		return "yes"
	}
	return "no, built without cgo"
}
