package provision

import (
	"context"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/holder"
)

// surveyHolder finds out whether the card says of its person what the plan says.
func (w *work) surveyHolder(ctx context.Context, erases bool) error {
	h := w.plan.Holder
	if h == nil {
		return nil
	}
	if _, err := holder.On(w.card); err != nil {
		return err
	}
	wish := card.HolderWish{Name: h.Name, Login: h.Login, URL: h.URL, Language: h.Language, Sex: h.Sex}
	if !erases {
		same, err := w.holds(ctx, wish)
		if err != nil {
			return err
		}
		if same {
			w.already("holder", "")
			return nil
		}
	}
	w.add(step{name: "holder", result: Would, do: func(ctx context.Context) (string, error) {
		able, err := holder.On(w.card) // it may have been opened again
		if err == nil {
			_, err = able.SetHolder(ctx, wish)
		}
		return "", err
	}})
	return nil
}

// holds reports whether the card says so already.
func (w *work) holds(ctx context.Context, wish card.HolderWish) (bool, error) {
	facts, err := w.card.Facts(ctx)
	if err != nil {
		return false, err
	}
	var now card.Holder
	for _, fact := range facts {
		if told, ok := fact.Value.(card.Holder); ok {
			now = told
		}
	}
	for _, part := range []struct {
		wish *string
		now  string
	}{{wish.Name, now.Name}, {wish.Login, now.Login}, {wish.URL, now.URL}, {wish.Language, now.Language}, {wish.Sex, now.Sex}} {
		if part.wish != nil && *part.wish != part.now {
			return false, nil
		}
	}
	return true, nil
}
