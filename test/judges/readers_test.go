//go:build stack

package judges

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestTwoCardsNeedASelector(t *testing.T) {
	d := stack.NewDesk(t)
	for reader, name := range []string{"left", "right"} {
		d.Card(name, reader).Initialise()
	}
	d.Setenv("CARDCTL_READER", "")

	refused := d.Refused("info")
	if refused.Exit != 3 || refused.Code != "not-found" {
		t.Errorf("without a selector: %+v", refused)
	}
	serials, indexes := map[string]string{}, map[string]string{}
	for _, reader := range d.ListReaders().Readers {
		if reader.Card == nil || !strings.HasPrefix(reader.Name, "Virtual PCD") {
			continue
		}
		serials[reader.Name], indexes[reader.Name] = reader.Card.Serial, strconv.Itoa(reader.Index)
		if !strings.Contains(refused.Message+refused.Hint, reader.Card.Serial) && !strings.Contains(refused.Message+refused.Hint, reader.Name) {
			t.Errorf("the error does not list %s %s: %+v", reader.Name, reader.Card.Serial, refused)
		}
	}
	for reader := range 2 {
		name := stack.ReaderName(reader)
		serial := serials[name]
		if len(serial) != 12 {
			t.Fatalf("serial %q in %s", serial, name)
		}
		for _, selector := range [][]string{{"--reader", name}, {"--reader", indexes[name]}, {"--serial", serial}, {"--serial", serial[6:]}} {
			info := d.Info(selector...)
			if info.Reader != name || info.Card.Serial != serial {
				t.Errorf("%v chose %s in %s", selector, info.Card.Serial, info.Reader)
			}
		}
	}
	if refused := d.Refused("info", "--serial", "FFFFFFFFFFFF"); refused.Exit != 3 {
		t.Errorf("a serial that no card has: %+v", refused)
	}
}

func TestOneCardNeedsNoSelector(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("only", 1)
	d.Setenv("CARDCTL_READER", "")
	if got := d.Info().Reader; got != stack.ReaderName(1) {
		t.Errorf("chose %s", got)
	}
}

func TestAttachedCardIsBusyInProcess(t *testing.T) {
	d := stack.NewDesk(t)
	card := d.Card("both", 0)
	if refused := d.Refused("info", "--reader", "sim:both"); refused.Exit != 6 {
		t.Errorf("in process while attached: %+v", refused)
	}
	card.Pull()
	d.Info("--reader", "sim:both")
}

func TestAttachTracesEveryProgram(t *testing.T) {
	d := stack.NewDesk(t)
	card := d.Card("traced", 0)
	d.Run("opensc-tool", "--name")
	card.Pull()
	trace := string(d.Read("traced.trace"))
	if !strings.Contains(trace, "> 00A40400") || strings.Count(trace, "> ") != strings.Count(trace, "< ") {
		t.Errorf("the trace is\n%s", trace)
	}
}

func TestListReadersWaits(t *testing.T) {
	d := stack.NewDesk(t)
	card := d.Card("late", 0)
	card.Pull()
	if refused := d.Refused("list-readers", "--wait", "--timeout", "500ms"); refused.Exit == 0 {
		t.Errorf("did not wait: %+v", refused)
	}
	d.Start("wait.json", "cardctl", "list-readers", "--wait", "-o", "json")
	card.Insert()
	d.Eventually("list-readers --wait prints the card", func() bool {
		content, err := os.ReadFile(d.Path("wait.json"))
		return err == nil && strings.Contains(string(content), `"kind":"ReaderList"`)
	})
}

func TestCardPulledWhileAtWork(t *testing.T) {
	d := stack.NewDesk(t)
	card, wire := d.WiredCard("pulled", 0, "--latency", "100ms")
	card.Initialise()
	before := wire.Count().APDUs
	stop := d.Start("pulled.json", "cardctl", "gen-key", "--key", "OPENPGP.3", "-o", "json")
	defer stop()
	d.Eventually("gen-key talks to the card", func() bool { return wire.Count().APDUs >= before+3 })
	card.Pull()
	d.Eventually("gen-key says so", func() bool {
		content, err := os.ReadFile(d.Path("pulled.json"))
		return err == nil && strings.Contains(string(content), `"card-removed"`)
	})
	card.Insert()
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3")
	for _, pin := range d.Info().PINs {
		if pin.Name != "reset-code" && pin.TriesLeft != 3 {
			t.Errorf("a PIN was burned: %+v", pin)
		}
	}
}
