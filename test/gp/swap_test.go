package gp

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// swapped is a desk with a reader in which another card comes at a moment.
type swapped struct{ reader *cardsim.Reader }

func (s swapped) List() ([]cardsim.Info, error) { return nil, nil }

func (s swapped) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return s.reader.Connect(ctx)
}

// thoughtful is somebody who takes time before each answer.
func thoughtful(keys string) desk.Access {
	a := person(keys)
	ask := a.Ask
	a.Ask = func(ctx context.Context, r secret.Request) (*secret.Bytes, error) {
		if err := r.Waiting(); err != nil {
			return nil, err
		}
		return ask(ctx, r)
	}
	a.Confirm = func(_ context.Context, q desk.Question) error { return q.Waiting() }
	return a
}

// The workflows that let the card go, each with what has to be on it, and how often
// it is let go before the work is done.
func lettingGo(t *testing.T) map[string]struct {
	applet string
	free   int
	do     work
} {
	script, err := applet.ParseScript([]byte(scriptWords.Replace("open_sc -security 1 KEYS\ndelete -AID APPLET\n")), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return map[string]struct {
		applet string
		free   int
		do     work
	}{
		"list": {"IsoApplet", 1, func(ctx context.Context, d *desk.Desk, a desk.Access, _ string) error {
			_, err := applet.List(ctx, d, a, applet.Domain{})
			return err
		}},
		"install": {"", 1, func(ctx context.Context, d *desk.Desk, a desk.Access, _ string) error {
			_, err := applet.Install(ctx, d, a, applet.InstallOptions{File: isoApplet(t)})
			return err
		}},
		"replace": {"IsoApplet", 2, func(ctx context.Context, d *desk.Desk, a desk.Access, _ string) error {
			_, err := applet.Install(ctx, d, a, applet.InstallOptions{File: isoApplet(t), Replace: true})
			return err
		}},
		"delete": {"IsoApplet", 2, func(ctx context.Context, d *desk.Desk, a desk.Access, _ string) error {
			_, err := applet.Delete(ctx, d, a, applet.DeleteOptions{AID: isoApplet(t).Package.AID, WithApplets: true})
			return err
		}},
		"set-keys": {"", 3, func(ctx context.Context, d *desk.Desk, a desk.Access, dir string) error {
			_, err := applet.SetKeys(ctx, d, a, applet.SetKeysOptions{File: filepath.Join(dir, "keys"), Version: 2})
			return err
		}},
		"script": {"IsoApplet", 1, func(ctx context.Context, d *desk.Desk, a desk.Access, _ string) error {
			_, err := applet.RunScript(ctx, d, a, applet.ScriptOptions{Script: script})
			return err
		}},
		"set-up of a MUSCLE applet": {"Muscle", 1, func(ctx context.Context, d *desk.Desk, a desk.Access, _ string) error {
			a.Ask = thoughtful("12345678").Ask
			_, err := cardinit.Initialise(ctx, d, a, cardinit.Options{})
			return err
		}},
	}
}

// withApplet is a Java card with an applet on it.
func withApplet(t *testing.T, name, serial string) *cardsim.Card {
	t.Helper()
	card := newCard(t, cardsim.Options{Serial: serial})
	if name == "" {
		return card
	}
	file, err := applet.ReadFile(t.Context(), filepath.Join("..", "..", "internal", "cardsim", "testdata", name+".cap"))
	if err == nil {
		_, err = applet.Install(t.Context(), deskWith(card, ""), person(""), applet.InstallOptions{Domain: applet.Domain{DefaultKeys: true}, File: file})
	}
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// TestSwapped has another card with the same on it, or a twin that cannot be told
// from the one before, come into the reader at each moment at which that is let go:
// nothing reaches it, and that is said.
func TestSwapped(t *testing.T) {
	testKey := "404142434445464748494A4B4C4D4E4F"
	for name, w := range lettingGo(t) {
		for free := 1; free <= w.free; free++ {
			for _, other := range []string{"another card", "a twin"} {
				t.Run(fmt.Sprintf("%s, %s at %d", name, other, free), func(t *testing.T) {
					card := withApplet(t, w.applet, "12345678")
					next := withApplet(t, w.applet, "87654321")
					if other == "a twin" {
						var err error
						if next, err = card.Twin(); err != nil {
							t.Fatal(err)
						}
					}
					reader := cardsim.NewReader(card)
					reader.SwapAt(cardsim.WhenFree(free), next)
					d := deskWith(card, t.TempDir())
					d.Simulated = swapped{reader}
					err := w.do(t.Context(), d, thoughtful(testKey), t.TempDir())
					stays := reader.Stays()
					if !problem.Is(err, problem.CardChanged) || len(stays) != 2 {
						t.Fatalf("%v, %d cards", err, len(stays))
					}
					if sent := stays[1].Sent(); len(sent) > 0 || stays[1].Changed() {
						t.Errorf("the other card got %X", sent)
					}
					if strings.Contains(err.Error(), testKey) {
						t.Errorf("keys are in %v", err)
					}
				})
			}
		}
		t.Run(name+", the same card", func(t *testing.T) {
			card := withApplet(t, w.applet, "12345678")
			if err := w.do(t.Context(), deskWith(card, t.TempDir()), thoughtful(testKey), t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
}
