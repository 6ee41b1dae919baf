package main

import (
	"context"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/doctor"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/setup"
	"github.com/cardctl/cardctl/internal/typed"
)

func newDoctorCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Diagnose why cards do not work on this machine",
		Long: `Diagnose why cards do not work on this machine. doctor checks the PC/SC daemon,
permissions, reader drivers, PKCS#11 modules, programs that hold cards or can
use them, and cards that still have factory keys or PINs. It changes nothing.`,
		Example: "  cardctl doctor\n  cardctl doctor -o json",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), env) },
	}
}

// doctorDocument is a report as documents have it.
type doctorDocument struct {
	Checks []doctorCheck `json:"checks"`
	Passed bool          `json:"passed"`
}

type doctorCheck struct {
	Name   string        `json:"name"`
	Result doctor.Result `json:"result"`
	Detail string        `json:"detail"`
	Hint   string        `json:"hint,omitempty"`
}

func (env *session) doctorDocument(report doctor.Report) doctorDocument {
	document := doctorDocument{Passed: report.Passed}
	for _, c := range report.Checks {
		document.Checks = append(document.Checks, doctorCheck{c.Name, c.Result, c.Detail, env.line.Worded(c.Next)})
	}
	return document
}

func runDoctor(ctx context.Context, env *session) error {
	env.progress.Show("checking this machine")
	report := doctor.Examine(ctx, env.desk(), runtime.GOOS, os.DirFS("/"), env.surveyed)
	if err := ctx.Err(); err != nil {
		return err
	}
	document := env.doctorDocument(report)
	err := env.result("Doctor", document, func(s *output.Sheet) {
		for _, c := range document.Checks {
			s.Heading(string(c.Result) + "  " + c.Name)
			s.Field("detail", c.Detail)
			s.Field("try", c.Hint)
		}
	})
	if err != nil || report.Passed {
		return err
	}
	return illness(report)
}

// surveyed are the programs that setup knows.
func (env *session) surveyed() []doctor.Program {
	dir, _ := env.stateOf("setup") // without one, nothing was set up
	var programs []doctor.Program
	for _, f := range setup.Survey(dir) {
		programs = append(programs, doctor.Program{Name: f.Target, SetUp: f.SetUp, Lacks: f.Lacks, Limits: f.Limits})
	}
	return programs
}

// illness is the first check that failed, the others depend on it.
func illness(report doctor.Report) error {
	for _, c := range report.Checks {
		if c.Result == doctor.Fail {
			return problem.New(problem.Failed, "%s", c.Name).Because("%s", c.Detail).Advise(c.Next)
		}
	}
	return problem.New(problem.Failed, "not every check could be made")
}
