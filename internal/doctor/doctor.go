// Package doctor finds out why cards do not work on this machine: the PC/SC
// daemon, permissions, drivers, programs that hold cards, PKCS#11 modules. It
// changes nothing, and leaves repairs to the user. The checks get files and
// lists, so that they need no PC/SC and no PKCS#11; Examine collects these.
package doctor

import (
	"context"
	"io/fs"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/gnupg"
)

// Result is how a check ended.
type Result string

// The results of a check. A warning is something that may be as it should be.
const (
	Pass Result = "pass"
	Fail Result = "fail"
	Warn Result = "warn"
	Skip Result = "skip"
)

// Check is one thing that was looked at. Detail says what was seen, Next what
// to do about it.
type Check struct {
	Name   string
	Result Result
	Detail string
	Next   advice.Advice
}

// Report is the checks in the order in which things depend on each other.
// Passed says that none failed.
type Report struct {
	Checks []Check
	Passed bool
}

// Reader is a reader that the PC/SC service has. Exclusive says that a program
// has its card to itself, Mute that the card does not answer.
type Reader struct {
	Name                         string
	CardPresent, Exclusive, Mute bool
}

// Process is a running program.
type Process struct {
	PID  int
	Name string
}

// ModuleStatus is a PKCS#11 module that was found. Err is why it cannot be
// used, nil where it can; Tokens is how many tokens it has then, -1 where it
// was not loaded.
type ModuleStatus struct {
	Name, Path string
	Tokens     int
	Err        error
}

// ManagedCard is a card that is managed with keys and could be looked at. KnownKeys says that its
// security domain has keys that others may know: those that it came with, or
// the test keys of blank cards.
type ManagedCard struct {
	Reader, Kind string
	KnownKeys    bool
}

// ExposedCard is a card that tells, or cannot tell, what of it others may know.
type ExposedCard struct {
	Reader, Kind string
	card.Exposure
}

// Program is one that can use cards. SetUp is for whom cardctl set it up, Lacks are the
// packages that it needs besides.
type Program struct {
	Name         string
	SetUp, Lacks []string
	// Limits is what it cannot do; empty for nothing that is known.
	Limits string
}

// Probe is the machine, as far as it is looked at.
type Probe struct {
	// OS is the operating system, as in runtime.GOOS.
	OS string

	// Root is the file system from its root.
	Root fs.FS

	// Administrator says that this user may start services.
	Administrator bool

	// Readers lists the readers of the PC/SC service; its error says that
	// the service cannot be used, a problem.NotSupported that this build
	// cannot.
	Readers func(context.Context) ([]Reader, error)

	// Dial connects to a socket of the file system, and closes it.
	Dial func(ctx context.Context, path string) error

	// User is the user who examines the machine.
	User gnupg.User

	// Holders lists the programs that are connected to the service. The first is
	// the most likely one to have a card to itself.
	Holders func(context.Context) []Process

	// ManagedCards looks at the cards of this kind that no program uses.
	ManagedCards func(context.Context) []ManagedCard

	// ExposedCards looks at the cards that no program uses.
	ExposedCards func(context.Context) []ExposedCard

	// Modules lists the PKCS#11 modules.
	Modules func(context.Context) []ModuleStatus

	// Programs lists the programs that can use cards.
	Programs func() []Program
}

// Run makes all checks. When ctx ends, what is not looked at any more is
// missing from the report.
func Run(ctx context.Context, p Probe) Report {
	e := examination{probe: p}
	for _, look := range []func(context.Context) Check{
		e.service, e.readers, e.usbReaders, e.kernelModules, e.cards, e.cardKeys, e.exposedCards, e.holders, e.scdaemon, e.modules, e.programs,
	} {
		if ctx.Err() != nil {
			break
		}
		e.report.Checks = append(e.report.Checks, look(ctx))
	}
	e.report.Passed = ctx.Err() == nil
	for _, c := range e.report.Checks {
		if c.Result == Fail {
			e.report.Passed = false
		}
	}
	return e.report
}

// examination is one run. What the service answered is kept for the checks
// that follow.
type examination struct {
	probe  Probe
	report Report

	reached bool
	found   []Reader
}
