//go:build cgo && linux && stack

package hardening

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/test/stack"
)

// TestSwappedJavaCard has a twin come into the reader of the daemon while a program
// looks for the card keys: no key is tried on it, and nothing of it is changed.
func TestSwappedJavaCard(t *testing.T) {
	file, err := filepath.Abs(filepath.Join("..", "..", "internal", "cardsim", "testdata", "IsoApplet.cap"))
	if err != nil {
		t.Fatal(err)
	}
	for name, command := range map[string]string{
		"list":     "applet list",
		"install":  "applet install " + file,
		"delete":   "applet delete A000000151000000 --yes",
		"set-keys": "applet set-keys --generate --keys-file new.keys --yes",
	} {
		t.Run(name, func(t *testing.T) {
			card, err := cardsim.NewCard(cardsim.Options{Applications: []string{"gp"}})
			if err != nil {
				t.Fatal(err)
			}
			twin, err := card.Twin()
			if err != nil {
				t.Fatal(err)
			}
			reader := cardsim.NewReader(card)
			line := stack.NewLine(t, 0)
			pull := line.Insert(reader)
			defer pull()
			d := stack.NewDesk(t)
			d.Setenv("CARDCTL_READER", stack.ReaderName(0))
			began, goOn := d.Path("began"), d.Path("go-on")
			keys := "command:touch " + began + "; while ! test -e " + goOn + "; do sleep 0.1; done; echo 404142434445464748494A4B4C4D4E4F"
			done := make(chan stack.Result, 1)
			go func() { done <- d.Try("cardctl", append(strings.Fields(command), "--card-keys", keys)...) }()
			d.Eventually("the program runs", func() bool { return d.Try("test", "-e", began).Exit == 0 })
			reader.Swap(twin)
			line.Await(true)
			d.Write("go-on", "", 0o600)
			r := <-done
			if r.Exit != 10 || !strings.Contains(r.String(), "is not the selected one") {
				t.Errorf("exit status %d\n%v", r.Exit, r)
			}
			if stays := reader.Stays(); len(stays) != 2 || len(stays[1].Sent()) > 0 || stays[1].Changed() {
				t.Errorf("the twin got %X", stays[len(stays)-1].Sent())
			}
		})
	}
}
