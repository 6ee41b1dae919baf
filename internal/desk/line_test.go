package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// tray is a reader whose card can be taken out and replaced, and which notes what
// is done to it, by the card that it is done to.
type tray struct {
	card       string // empty where there is none
	insertions int
	busy       bool
	did        []string
	open       int // connections
}

func (r *tray) insert(card string) {
	r.card, r.insertions = card, r.insertions+1
}

func (r *tray) note(format string, args ...any) {
	r.did = append(r.did, fmt.Sprintf(format, args...))
}

func (r *tray) Readers(context.Context) ([]pcsc.Reader, error) {
	return []pcsc.Reader{{Name: "Alpha", CardPresent: r.card != ""}}, nil
}

func (r *tray) Connect(_ context.Context, reader string) (iso7816.Connection, error) {
	switch {
	case r.busy:
		return nil, problem.New(problem.CardBusy, "%s: in use", reader)
	case r.card == "":
		return nil, problem.New(problem.CardRemoved, "%s: no card", reader)
	}
	r.note("connect")
	r.open++
	return &handle{tray: r, insertion: r.insertions, held: true}, nil
}

func (r *tray) WaitForCard(context.Context, func(pcsc.Reader) bool) (pcsc.Reader, error) {
	return pcsc.Reader{}, errors.New("nobody waits")
}

func (r *tray) Close() error { return nil }

// handle is a connection: it knows the card that it was made to, and no other.
type handle struct {
	tray      *tray
	insertion int
	held      bool
}

func (h *handle) gone() bool  { return h.tray.card == "" || h.tray.insertions != h.insertion }
func (h *handle) ATR() []byte { return []byte{0x3B, 0x00} }

func (h *handle) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	switch {
	case h.gone():
		return nil, iso7816.ErrCardRemoved
	case !h.held:
		return nil, iso7816.ErrReleased
	}
	h.tray.note("%02X to %s", apdu[1], h.tray.card)
	return append([]byte(h.tray.card), 0x90, 0x00), nil
}

func (h *handle) Release(reset bool) error {
	h.held = false
	h.tray.note("release, reset %v", reset)
	if h.gone() {
		return iso7816.ErrCardRemoved
	}
	return nil
}

func (h *handle) Resume(context.Context) error {
	if h.gone() {
		return iso7816.ErrCardRemoved
	}
	if !h.held {
		h.tray.note("resume")
	}
	h.held = true
	return nil
}

func (h *handle) Close(reset bool) error {
	h.tray.note("close, reset %v", reset)
	h.tray.open--
	return nil
}

// lineTo opens a line to the card in a tray, which is compared by its name.
func lineTo(t *testing.T, r *tray) *Line {
	t.Helper()
	d := &Desk{OpenReaders: func(context.Context, pcsc.Options) (Readers, error) { return r, nil }, Detail: func(string, ...any) {}}
	l, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	named := r.card
	l.Same(func(ctx context.Context, ch *iso7816.Channel) error {
		if found := read(ctx, t, ch); found != named {
			return Changed(l.Place(), "It is "+found+".", nil)
		}
		return nil
	})
	return l
}

func read(ctx context.Context, t *testing.T, ch *iso7816.Channel) string {
	t.Helper()
	name, err := ch.Send(ctx, iso7816.Command{INS: 0xCA, Ne: 256})
	if err != nil {
		t.Error(err)
	}
	return string(name)
}

// change sends something that is not for another card.
func change(t *testing.T, l *Line) error {
	t.Helper()
	ch, err := l.Channel(t.Context())
	if err != nil {
		return err
	}
	_, err = ch.Send(t.Context(), iso7816.Command{INS: 0xDA, Data: []byte{1}})
	return err
}

// What comes into the reader while the line is let go is found before anything is
// sent to it that changes something.
func TestTheCardAfterItWasLetGo(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*tray)
		code      problem.Code
		says      string
	}{
		"nothing happens":        {func(*tray) {}, "", ""},
		"another card":           {func(r *tray) { r.insert("two") }, problem.CardChanged, "a card was inserted"},
		"a twin":                 {func(r *tray) { r.insert("one") }, problem.CardChanged, "a card was inserted"},
		"the same card again":    {func(r *tray) { r.card = ""; r.insert("one") }, problem.CardChanged, "a card was inserted"},
		"another that is in use": {func(r *tray) { r.insert("two"); r.busy = true }, problem.CardChanged, "a card was inserted"},
		"it is taken out":        {func(r *tray) { r.card = "" }, problem.CardRemoved, "removed from Alpha"},
		// The reader did not notice: the comparison does.
		"another behind the handle": {func(r *tray) { r.card = "two" }, problem.CardChanged, "It is two."},
	} {
		t.Run(name, func(t *testing.T) {
			r := &tray{}
			r.insert("one")
			l := lineTo(t, r)
			if err := errors.Join(change(t, l), l.Release(), l.Release()); err != nil {
				t.Fatal(err)
			}
			before := len(r.did)
			test.meanwhile(r)
			for range 2 { // and for good
				err := change(t, l)
				if test.code == "" && err != nil || test.code != "" && (!problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says)) {
					t.Errorf("got %v", err)
				}
			}
			did := r.did[before:]
			if changed := slices.Contains(did, "DA to two"); changed {
				t.Errorf("another card was changed: %q", did)
			}
			if test.code == "" && !slices.Equal(did, []string{"resume", "CA to one", "DA to one", "DA to one"}) {
				t.Errorf("not compared, or too often: %q", did)
			}
			if test.code != "" && slices.Contains(did, "DA to one") {
				t.Errorf("a twin was changed: %q", did)
			}
			if err := l.Close(); err != nil || r.open != 0 {
				t.Errorf("%d connections are left: %v", r.open, err)
			}
		})
	}
}

// Without a handle the comparison alone knows the card.
func TestTheCardAfterItsHandleWasClosed(t *testing.T) {
	for card, code := range map[string]problem.Code{"one": "", "two": problem.CardChanged, "": problem.CardRemoved} {
		r := &tray{}
		r.insert("one")
		l := lineTo(t, r)
		if err := errors.Join(change(t, l), l.LetGo(), l.LetGo()); err != nil || r.open != 0 {
			t.Fatalf("%d connections, %v", r.open, err)
		}
		r.insert(card)
		if err := change(t, l); code == "" && err != nil || code != "" && !problem.Is(err, code) {
			t.Errorf("%q: %v", card, err)
		}
		if slices.Contains(r.did, "DA to two") {
			t.Errorf("another card was changed: %q", r.did)
		}
		if err := l.Close(); err != nil || r.open != 0 {
			t.Errorf("%d connections are left: %v", r.open, err)
		}
	}
}

// A card that is let go keeps no verified PIN, and loses nothing else.
func TestACardThatIsLetGoForgetsThePIN(t *testing.T) {
	for _, verified := range []bool{false, true} {
		for how, letGo := range map[string]func(*Line) error{"release": (*Line).Release, "close": (*Line).Close, "LetGo": (*Line).LetGo} {
			r := &tray{}
			r.insert("one")
			l := lineTo(t, r)
			ch, err := l.Channel(t.Context())
			if err == nil && verified {
				_, err = ch.Send(t.Context(), iso7816.Command{INS: 0x20, Data: []byte("123456")})
			}
			if err := errors.Join(err, letGo(l)); err != nil {
				t.Fatal(err)
			}
			if last := r.did[len(r.did)-1]; !strings.HasSuffix(last, fmt.Sprintf("reset %v", verified)) {
				t.Errorf("%s, verified %v: %s", how, verified, last)
			}
		}
	}
}

// While a person is asked, others can work; a program or a file that gives the
// secret at once costs the card nothing.
func TestTheCardIsFreeWhileSomebodyIsAsked(t *testing.T) {
	for _, takesTime := range []bool{false, true} {
		r := &tray{}
		r.insert("one")
		l := lineTo(t, r)
		l.Note(func(context.Context) error { r.note("note"); return nil })
		if err := change(t, l); err != nil {
			t.Fatal(err)
		}
		before := len(r.did)
		wait := func(waiting func() error) error {
			if !takesTime {
				return nil
			}
			err := waiting()
			r.note("asked")
			return err
		}
		ask := l.Asker(func(_ context.Context, request secret.Request) (*secret.Bytes, error) {
			return secret.New([]byte("123456")), wait(request.Waiting)
		})
		first := secret.Request{Waiting: func() error { r.note("first"); return nil }}
		if _, err := ask(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Channel(t.Context()); err != nil {
			t.Fatal(err)
		}
		confirm := l.Confirm(func(_ context.Context, q Question) error { return wait(q.Waiting) })
		for range 2 { // the second time it is free already
			if err := confirm.Ask(t.Context(), advice.Question{}); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"first", "note", "release, reset false", "asked", "resume", "CA to one", "note", "release, reset false", "asked", "asked"}
		if !takesTime {
			want = nil
		}
		if got := r.did[before:]; !slices.Equal(got, want) {
			t.Errorf("takes time %v: %q", takesTime, got)
		}
	}
}

func TestNobodyIsAskedOfACardThatCannotBeNoted(t *testing.T) {
	odd := errors.New("odd")
	r := &tray{}
	r.insert("one")
	l := lineTo(t, r)
	l.Note(func(context.Context) error { return odd })
	if err := change(t, l); err != nil {
		t.Fatal(err)
	}
	confirm := l.Confirm(func(_ context.Context, q Question) error { return q.Waiting() })
	if err := confirm.Ask(t.Context(), advice.Question{}); !errors.Is(err, odd) {
		t.Errorf("got %v", err)
	}
}

// What was opened on a line ends before it, the last first, and once.
func TestWhatEndsWithTheLine(t *testing.T) {
	r := &tray{}
	r.insert("one")
	l := lineTo(t, r)
	odd := errors.New("odd")
	l.OnClose(func() error { r.note("first"); return nil })
	l.OnClose(func() error { r.note("second"); return odd })
	if err := l.Close(); !errors.Is(err, odd) {
		t.Errorf("got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if want := []string{"connect", "second", "first", "close, reset false"}; !slices.Equal(r.did, want) {
		t.Errorf("%q", r.did)
	}
}

func TestTraceOfALine(t *testing.T) {
	r := &tray{}
	r.insert("one")
	var trace bytes.Buffer
	d := &Desk{OpenReaders: func(context.Context, pcsc.Options) (Readers, error) { return r, nil }, Trace: &trace}
	l, err := d.OpenIn(t.Context(), "Alpha")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // also after it was let go
		trace.Reset()
		if err := change(t, l); err != nil || !strings.Contains(trace.String(), "DA") {
			t.Errorf("%v: %q", err, trace.String())
		}
		if err := l.LetGo(); err != nil {
			t.Error(err)
		}
	}
}

// Where other programs cannot reach the card, they are told no reader.
func TestTheReaderForOtherPrograms(t *testing.T) {
	for reader, want := range map[string]string{"Alpha": "Alpha", SimulatedPrefix + "desk": ""} {
		if got := (&Line{reader: reader}).Reader(); got != want {
			t.Errorf("%s: %q", reader, got)
		}
	}
	if place := (&Line{reader: "/usr/lib/module.so", token: "desk"}).Place(); place != "desk" {
		t.Errorf("a token is at %s", place)
	}
}
