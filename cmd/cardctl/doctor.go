package main

import (
	"context"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/doctor"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

func newDoctorCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Diagnose why cards do not work on this machine",
		Long: `Diagnose why cards do not work on this machine. doctor checks the PC/SC daemon,
permissions, reader drivers, PKCS#11 modules, programs that hold cards, and Java
cards that still have factory keys. It changes nothing.`,
		Example: "  cardctl doctor\n  cardctl doctor -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), env) },
	}
}

func runDoctor(ctx context.Context, env *session) error {
	env.progress.Show("looking at this machine")
	report := doctor.Examine(ctx, env.desk(), runtime.GOOS, os.DirFS("/"))
	if err := ctx.Err(); err != nil {
		return err
	}
	err := env.result("Doctor", report, func(s *output.Sheet) {
		for _, c := range report.Checks {
			s.Heading(string(c.Result) + "  " + c.Name)
			s.Field("seen", c.Detail)
			s.Field("try", c.Hint)
		}
	})
	if err != nil || report.Passed {
		return err
	}
	return illness(report)
}

// illness is the first check that failed, the others depend on it.
func illness(report doctor.Report) error {
	for _, c := range report.Checks {
		if c.Result == doctor.Fail {
			return problem.New(problem.Failed, "%s", c.Name).Because("%s", c.Detail).Hint("%s", c.Hint)
		}
	}
	return problem.New(problem.Failed, "not everything could be looked at")
}
