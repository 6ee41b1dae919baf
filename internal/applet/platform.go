package applet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// javaCard is the version of Java Card that first has what the file uses, "" where
// the file does not tell.
func (f *File) javaCard() string {
	version := javaCard(f.Imports)
	if f.CAPVersion.Minor == 3 && version < "3.1" { // the format of Java Card 3.1
		version = "3.1.0"
	}
	return version
}

// needs says what the file needs of a card, "" where it does not tell.
func (f *File) needs() string {
	version := f.javaCard()
	if version == "" {
		return ""
	}
	for _, p := range f.Imports {
		if p.Name == "javacard.framework" {
			return fmt.Sprintf("The file needs Java Card %s or later (CAP format %s, %s %s).", version, f.CAPVersion, p.Name, p.Version)
		}
	}
	return fmt.Sprintf("The file needs Java Card %s or later (CAP format %s).", version, f.CAPVersion)
}

// runs compares what the file needs with what the card says of itself. Only before
// something is replaced a command is sent for that.
func (w *installation) runs(ctx context.Context) error {
	if !w.domain.Recognised() && len(w.plan.Deletes) == 0 {
		return nil
	}
	said, err := w.domain.Recognition(ctx)
	var refused *gp.CommandError
	if errors.As(err, &refused) || errors.Is(err, gp.ErrMalformed) {
		return nil
	}
	if err != nil {
		return err
	}
	version := w.o.File.javaCard()
	if major := fmt.Sprint(said.JavaCard); said.JavaCard != 0 && version > major && !strings.HasPrefix(version, major+".") {
		return problem.New(problem.Mismatch, "the card has Java Card %d, and the file needs %s", said.JavaCard, version).
			Because("%s", w.o.File.needs()).Advise(advice.Do(advice.ShowCard))
	}
	return nil
}

// because is an error of the card with its reason, where that is known.
type because struct {
	error
	why string
}

func (b *because) Unwrap() error { return b.error }

// refused gives a refused upload the reason that the file is one for.
func (f *File) refused(err error) error {
	var command *gp.CommandError
	if !errors.As(err, &command) || command.Command != "LOAD" {
		return err
	}
	switch command.Status {
	case gp.StatusImportMissing:
		return &because{err, problem.Sentences("The card lacks a package that the file imports, or has it in an older version.", f.needs())}
	case iso7816.StatusWrongData, iso7816.StatusConditionsNotSatisfied:
		if needs := f.needs(); needs != "" {
			return &because{err, problem.Sentences("The card could not link the file. Cards also answer this if the file is for a newer version of Java Card.", needs)}
		}
	}
	return err
}

// fits compares the INSTALL commands with what gets through to this card.
func (w *installation) fits() error {
	for _, i := range w.plan.Instances {
		length := w.o.instance(w.plan.Package.AID, i).Length()
		if most, ok := w.domain.Session().Fits(length); !ok {
			return problem.New(problem.Usage, "the install parameters are too long for this card").
				Because("INSTALL would have %d bytes, and at most %d get through the secure channel.", length, most)
		}
	}
	return nil
}
