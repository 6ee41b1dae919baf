package family

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
)

// keeper is a desk.Recorder that notes what it is told.
type keeper struct {
	refuses error
	did     []string
	begun   []desk.Subject
	ended   []desk.Outcome
}

func (k *keeper) Begin(_ context.Context, s desk.Subject) (desk.Record, error) {
	k.did, k.begun = append(k.did, "begin"), append(k.begun, s)
	if k.refuses != nil {
		return nil, k.refuses
	}
	return k, nil
}

func (k *keeper) End(_ context.Context, o desk.Outcome) {
	k.did, k.ended = append(k.did, "end"), append(k.ended, o)
}

// on does work on a key, or with an empty reference on the card.
func on(t *testing.T, d *desk.Desk, ref, app string, work func(context.Context) error) error {
	t.Helper()
	a := desk.Access{Now: time.Now}
	if ref != "" {
		return WithKey(t.Context(), d, ref, a, func(ctx context.Context, _ At, _ key.Key) error { return work(ctx) })
	}
	return WithCard(t.Context(), d, Wanted{Takes: []string{app}}, a, func(ctx context.Context, _ At, _ card.Card) error { return work(ctx) })
}

// The card is known when the record begins, and nothing was done yet.
func TestRecordedBeforeAndAfter(t *testing.T) {
	for name, c := range map[string]struct {
		app, ref string
		want     desk.Subject
	}{
		"a key of an OpenPGP card": {"openpgp", "OPENPGP.3", desk.Subject{Serial: "FFFE12345678", App: "openpgp", Place: "sim:desk", Ref: "OPENPGP.3"}},
		"an OpenPGP card":          {"openpgp", "", desk.Subject{Serial: "FFFE12345678", App: "openpgp", Place: "sim:desk"}},
		"a key of a PIV card":      {"piv", "PIV.9A", desk.Subject{Serial: "305419896", App: "piv", Place: "sim:desk", Ref: "PIV.9A"}},
		"a PIV card":               {"piv", "", desk.Subject{Serial: "305419896", App: "piv", Place: "sim:desk"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := &keeper{}
			d := deskWith(t, c.app)
			d.Recorder = k
			failed := errors.New("failed")
			err := on(t, d, c.ref, c.app, func(ctx context.Context) error {
				k.did = append(k.did, "work")
				desk.RecordingOf(ctx).Changed(desk.Change{Ref: "A", Gone: desk.KeyGone})
				return failed
			})
			if !errors.Is(err, failed) || !slices.Equal(k.did, []string{"begin", "work", "end"}) {
				t.Errorf("%v, %v", k.did, err)
			}
			if len(k.begun) != 1 || k.begun[0] != c.want {
				t.Errorf("%+v", k.begun)
			}
			if len(k.ended) != 1 || k.ended[0].Serial != c.want.Serial || !errors.Is(k.ended[0].Failed, failed) || len(k.ended[0].Changes) != 1 {
				t.Errorf("%+v", k.ended)
			}
		})
	}
}

// What cannot be recorded is not done.
func TestNotRecordedNotDone(t *testing.T) {
	for _, ref := range []string{"OPENPGP.3", ""} {
		k := &keeper{refuses: errors.New("full")}
		d := deskWith(t, "openpgp")
		d.Recorder = k
		err := on(t, d, ref, "openpgp", func(context.Context) error {
			k.did = append(k.did, "work")
			return nil
		})
		if !errors.Is(err, k.refuses) || !slices.Equal(k.did, []string{"begin"}) {
			t.Errorf("%q: %v, %v", ref, k.did, err)
		}
	}
}

// A workflow that knows its card better begins the record itself.
func TestRecordOfALine(t *testing.T) {
	k := &keeper{}
	d := deskWith(t, "gp")
	d.Recorder = k
	err := WithLine(t.Context(), d, desk.Access{}, func(ctx context.Context, here At) error {
		if len(k.did) > 0 {
			t.Error("the record began too early")
		}
		here.Recording.Opened("gp")
		for range 2 { // the second is the same record
			if err := here.Begin(ctx, "", func() string { return "1" }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !slices.Equal(k.did, []string{"begin", "end"}) || k.begun[0] != (desk.Subject{Serial: "1", App: "gp", Place: "sim:desk"}) {
		t.Errorf("%v %+v, %v", k.did, k.begun, err)
	}
}

// Work that is over before its record began has none.
func TestNothingDoneNothingRecorded(t *testing.T) {
	k := &keeper{}
	d := deskWith(t, "openpgp")
	d.Recorder = k
	err := on(t, d, "PIV.9A", "", func(context.Context) error { return nil })
	if err == nil || len(k.did) > 0 {
		t.Errorf("%v, %v", k.did, err)
	}
}
