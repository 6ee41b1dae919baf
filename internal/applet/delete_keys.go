package applet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

// keyDeletion is one run of Delete for card keys. Those that open the card stay: a
// card that nobody has keys for cannot be managed.
type keyDeletion struct {
	*card
	version byte
	state   string
}

func (w *keyDeletion) run(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.confirm(ctx, w.look); err != nil {
		return err
	}
	err := w.domain.DeleteKey(ctx, 0, w.version)
	if err != nil && !unclear(err) {
		return err
	}
	if w.state = "It is not known whether the card deleted the keys."; err != nil && w.reopen(ctx) != nil {
		return err
	}
	there, looked := w.there(ctx)
	switch {
	case looked != nil && err == nil:
		return looked
	case looked != nil:
		return err
	case !there:
		return nil
	case err != nil:
		w.state = unchanged
		return err
	}
	return problem.New(problem.Failed, "the card confirmed the deletion and still has keys of version %d", w.version).Advise(advice.Do(advice.ShowCard))
}

// look sees whether the card has these keys beside those that opened it, and words
// the question.
func (w *keyDeletion) look(ctx context.Context) (wording, error) {
	current := w.domain.Session().KeyVersion
	if current == w.version {
		return nil, problem.New(problem.Refused, "the card keys of version %d opened the card", w.version).
			Because("Keys that are in use are not deleted.").Advise(advice.Do(advice.ShowCard))
	}
	there, err := w.there(ctx)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, problem.New(problem.NotFound, "the card has no keys of version %d", w.version).Advise(advice.Do(advice.ShowCard))
	}
	return func(card string) advice.Question {
		return advice.Question{
			Deed: fmt.Sprintf("Delete the card keys of version %d from", w.version), Subject: card,
			Lost: fmt.Sprintf("The keys of version %d, which opened it, stay.", current),
		}
	}, nil
}

// there reads whether the card has keys of the version. A card that does not tell is
// asked to delete them.
func (w *keyDeletion) there(ctx context.Context) (bool, error) {
	keys, err := w.domain.KeyInformation(ctx)
	var refused *gp.CommandError
	if errors.As(err, &refused) || errors.Is(err, gp.ErrMalformed) {
		return true, nil
	}
	return slices.ContainsFunc(keys, func(k gp.KeyInformation) bool { return k.Version == w.version }), err
}
