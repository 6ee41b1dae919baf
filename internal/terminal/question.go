package terminal

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/output"
)

// widthUnknown is how wide a terminal is taken to be that does not say it.
const widthUnknown = 80

// Confirm asks a question that is answered with yes or no; no is what Enter
// alone says. The question may have several lines.
func (t *Terminal) Confirm(ctx context.Context, question string) (bool, error) {
	confirmed := false
	err := t.ask(ctx, func() (err error) {
		confirmed, err = t.asker().confirm(output.Lines(question))
		return err
	})
	return confirmed && err == nil, err
}

// Choose asks for one of items, one line each, and returns its index.
func (t *Terminal) Choose(ctx context.Context, question string, items []string) (int, error) {
	chosen := -1
	err := t.ask(ctx, func() error {
		lines := strings.Split(output.Lines(question), "\n")
		last := len(lines) - 1
		for _, line := range lines[:last] {
			if err := t.write(line + "\r\n"); err != nil {
				return err
			}
		}
		var err error
		chosen, err = t.asker().choose(t.cut(lines[last]), t.cutAll(items))
		return err
	})
	if err != nil {
		return -1, err
	}
	return chosen, nil
}

// asker is a way to ask on a terminal in raw mode. What is chosen from is asked
// for in one line; a question to confirm may have several.
type asker interface {
	confirm(question string) (bool, error)
	choose(question string, items []string) (int, error)
}

func (t *Terminal) asker() asker {
	if t.options.Plain {
		return plain{in: t.keys(), out: t.out}
	}
	return fancy{in: t.keys(), out: screen{t.out}}
}

func (t *Terminal) keys() *keys { return &keys{file: t.in} }

func (t *Terminal) width() int {
	if w := Width(t.out); w > 0 {
		return w
	}
	return widthUnknown
}

// cut makes a line fit the terminal: what is drawn again with every key must
// not wrap.
func (t *Terminal) cut(line string) string {
	room := max(t.width()-len("  > "), 1)
	runes := []rune(oneLine(line))
	if len(runes) > room {
		runes = append(runes[:room-1], '…')
	}
	return string(runes)
}

// oneLine makes a line of what may hold anything, such as a card's label.
func oneLine(text string) string { return output.Lines(strings.ReplaceAll(text, "\n", " ")) }

func (t *Terminal) cutAll(lines []string) []string {
	short := make([]string, len(lines))
	for i, line := range lines {
		short[i] = t.cut(line)
	}
	return short
}
