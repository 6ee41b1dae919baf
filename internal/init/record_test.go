package cardinit

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/secret"
)

// numbered is a card in a room.
type numbered struct {
	card.Card
	room *room
}

func (numbered) Identity() card.Identity { return card.Identity{Serial: "1"} }

type recorder struct {
	room    *room
	refuses error
	ended   []desk.Outcome
}

func (r *recorder) Begin(context.Context, desk.Subject) (desk.Record, error) {
	r.room.did = append(r.room.did, "record")
	return r, r.refuses
}

func (r *recorder) End(_ context.Context, o desk.Outcome) { r.ended = append(r.ended, o) }

// An erasure is recorded when everything was asked, and before the deed. If it cannot be
// recorded, it is not done; only one that was done is over for what was on the card.
func TestErasureIsRecorded(t *testing.T) {
	full := errors.New("full")
	for name, c := range map[string]struct {
		refuses, failed error
		did             []string
		erased          bool
	}{
		"done":         {nil, nil, []string{"survey", "question", "pin", "record", "deed"}, true},
		"failed":       {nil, full, []string{"survey", "question", "pin", "record", "deed"}, false},
		"not recorded": {full, nil, []string{"survey", "question", "pin", "record"}, false},
	} {
		r := &room{needs: []card.Need{need(secret.PIN)}, typed: map[secret.Name]string{secret.PIN: "123456"}, failed: c.failed}
		kept := &recorder{room: r, refuses: c.refuses}
		here := r.at()
		here.Card, here.Recording = numbered{room: r}, (&desk.Desk{Recorder: kept}).Recording()
		_, err := surveyed(t.Context(), here, r, card.InitOptions{})
		_ = here.Recording.End(t.Context(), err)
		if !slices.Equal(r.did, c.did) {
			t.Errorf("%s: %q", name, r.did)
		}
		if (err != nil) != (c.refuses != nil || c.failed != nil) {
			t.Errorf("%s: %v", name, err)
		}
		erased := len(kept.ended) == 1 && len(kept.ended[0].Changes) == 1 && kept.ended[0].Changes[0].Gone == desk.AllGone
		if erased != c.erased {
			t.Errorf("%s: %+v", name, kept.ended)
		}
	}
}
