// Package cardinit erases and initialises cards and tokens, and sets, changes
// and unblocks their PINs. It keeps the order of question, secrets and change;
// what each of them means on a kind of card is left to its family. (Go cannot
// import a package called init, so the folder is init and the package is not.)
package cardinit

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Options are how Initialise works.
type Options = card.InitOptions

// Report is what Initialise did.
type Report struct {
	// Reader is where the card is; Kind what it is called.
	Reader string `json:"reader"`
	Kind   string `json:"-"`
	card.InitReport
}

// Apps are the names in --app of what can be initialised.
func Apps() []string {
	var apps []string
	for _, f := range family.All() {
		apps = append(apps, f.Initialises...)
	}
	return apps
}

// Initialise makes the card that is meant blank and gives it its first PINs. The
// card is let go while somebody is asked, and is the same afterwards, or
// nothing is done to it.
func Initialise(ctx context.Context, d *desk.Desk, a desk.Access, o Options) (report Report, err error) {
	w := family.Wanted{Takes: Apps(), Given: o.Named, Records: true}
	err = family.WithCard(ctx, d, w, a, func(ctx context.Context, here family.At, c card.Card) error {
		able, ok := c.(card.Initialiser)
		if !ok {
			return problem.New(problem.NotSupported, "this card cannot be initialised")
		}
		report.Reader, report.Kind = here.Place, here.Kind()
		survey, err := SurveyOn(ctx, able, o)
		if err != nil {
			return err
		}
		report.InitReport, err = InitialiseOn(ctx, here, able, survey)
		return err
	})
	return report, err
}

// SurveyOn looks at what is on a card, and refuses what it does not have.
func SurveyOn(ctx context.Context, able card.Initialiser, o Options) (*card.Survey, error) {
	has := []advice.Field{advice.Label}
	if choosing, ok := able.(card.Choosing); ok {
		has = choosing.InitChoices()
	}
	if err := o.Beyond(has); err != nil {
		return nil, err
	}
	return able.Survey(ctx, o)
}

// InitialiseOn asks the question, then for the secrets, and then does the deed.
func InitialiseOn(ctx context.Context, here family.At, able card.Initialiser, survey *card.Survey) (card.InitReport, error) {
	if err := here.Access.Confirm.Ask(ctx, survey.Question); err != nil {
		return survey.Report, untouched(here, err)
	}
	given, err := ask(ctx, here, survey.Needs)
	defer wipe(given)
	if err != nil {
		return survey.Report, untouched(here, err)
	}
	if err := here.Record(ctx, ""); err != nil {
		return survey.Report, untouched(here, err)
	}
	report, err := able.Initialise(ctx, survey, given)
	if err == nil {
		here.Recording.Changed(desk.Change{Gone: desk.AllGone})
	}
	return report, err
}

// untouched says that nothing was changed yet.
func untouched(here family.At, err error) error {
	if explained, ok := problem.Explained(err, "", fmt.Sprintf("Nothing on the %s was changed.", here.Kind())); ok {
		return explained
	}
	return err
}

// ask gets the secrets before anything is changed.
func ask(ctx context.Context, here family.At, needs []card.Need) (map[secret.Name]*secret.Bytes, error) {
	given := map[secret.Name]*secret.Bytes{}
	for _, need := range needs {
		if need.OptionalIf != nil {
			need.Request.Optional = need.OptionalIf(given)
		}
		value, err := here.Keys.Policy.Ask(ctx, need.Request, need.PIN)
		if need.Unless != nil && errors.Is(err, secret.ErrMissing) {
			err = need.Unless(ctx)
		}
		if err != nil {
			return given, err
		}
		given[need.Request.Name] = value
		if value != nil && need.Refused != nil {
			return given, need.Refused
		}
	}
	return given, nil
}

func wipe(given map[secret.Name]*secret.Bytes) {
	for _, value := range given {
		value.Wipe()
	}
}
