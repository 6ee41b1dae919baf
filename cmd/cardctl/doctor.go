package main

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/doctor"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// patience is how long one PKCS#11 module, or a socket, may take to answer.
const patience = 5 * time.Second

func newDoctorCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps cards from working here",
		Long: `Look for what keeps cards from working on this machine: the PC/SC daemon,
permissions, drivers of readers, Java cards with the keys of the factory,
programs that hold cards, PKCS#11 modules. Nothing is changed.`,
		Example: "  cardctl doctor\n  cardctl doctor -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), env) },
	}
}

func runDoctor(ctx context.Context, env *Env) error {
	env.progress.Show("looking at this machine")
	report := doctor.Run(ctx, doctor.Probe{
		OS: runtime.GOOS, Root: os.DirFS("/"),
		Readers: env.doctorReaders, Dial: dialUnix, Holders: doctorHolders, JavaCards: env.doctorJavaCards, Modules: installedModules,
	})
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

func (env *Env) doctorReaders(ctx context.Context) ([]doctor.Reader, error) {
	from, err := env.openReaders(ctx, pcsc.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	list, err := from.Readers(ctx)
	if err != nil {
		return nil, err
	}
	readers := make([]doctor.Reader, len(list))
	for i, r := range list {
		readers[i] = doctor.Reader{Name: r.Name, CardPresent: r.CardPresent, Exclusive: r.Exclusive, Mute: r.Mute}
	}
	return readers, nil
}

// doctorJavaCards looks at the cards in readers, or at the simulated one that is
// named. One that a program uses is left alone: what that verified would be
// gone.
func (env *Env) doctorJavaCards(ctx context.Context) []doctor.JavaCard {
	var list []doctor.JavaCard
	look := func(ctx context.Context, c *card) error {
		dir, err := env.stateDir()
		if err != nil {
			return err
		}
		keys, err := applet.CardKeys(ctx, applet.Access{Channel: c.Channel, StateDir: dir})
		if err == nil {
			list = append(list, doctor.JavaCard{Reader: c.Reader, KnownKeys: keys != applet.KeysNotKnown})
		}
		return err
	}
	// What cannot be looked at is no Java card, or what the other checks see.
	if strings.HasPrefix(env.flags.reader, simulatedPrefix) {
		_ = env.withCard(ctx, look)
		return list
	}
	from, err := env.openReaders(ctx, pcsc.Options{})
	if err != nil {
		return nil
	}
	readers, err := from.Readers(ctx)
	if err = errors.Join(err, from.Close()); err != nil {
		return nil
	}
	for _, r := range readers {
		if r.CardPresent && !r.InUse && !r.Exclusive && !r.Mute {
			_ = env.withCardIn(ctx, r.Name, look)
		}
	}
	return list
}

func dialUnix(ctx context.Context, path string) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return c.Close()
}

func doctorHolders(ctx context.Context) []doctor.Process {
	var list []doctor.Process
	for _, p := range pcsc.Holders(ctx) {
		list = append(list, doctor.Process{PID: p.PID, Name: p.Name})
	}
	return list
}

// installedModules loads every module that is found and can be loaded without
// harm.
func installedModules(ctx context.Context) []doctor.ModuleStatus {
	var list []doctor.ModuleStatus
	for _, m := range p11.DefaultPlaces().Installed() {
		status := doctor.ModuleStatus{Name: m.Name, Path: m.Path, Tokens: -1}
		if takesCard(m.Path) {
			status.Err = p11.Inspect(m.Path)
		} else {
			status.Tokens, status.Err = countTokens(ctx, m.Path)
		}
		list = append(list, status)
	}
	return list
}

func countTokens(ctx context.Context, module string) (int, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	listing, err := p11.ListTokens(ctx, module)
	return len(listing.Tokens), err
}
