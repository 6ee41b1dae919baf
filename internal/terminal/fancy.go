package terminal

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/manifoldco/promptui"
)

// fancy lets the user choose with the cursor keys, through promptui. A question
// to confirm is a choice too: promptui's line input reads the answer while
// another goroutine may still draw, which is nothing to erase a card on.
type fancy struct {
	in  io.ReadCloser
	out io.WriteCloser
}

func (f fancy) choose(question string, items []string) (int, error) {
	list := promptui.Select{
		Label:  question,
		Items:  items,
		Size:   min(len(items), 10),
		Stdin:  f.in,
		Stdout: f.out,
		Templates: &promptui.SelectTemplates{
			Label:    "{{ . | bold }}",
			Active:   "> {{ . | bold }}",
			Inactive: "  {{ . }}",
			Selected: "{{ . }}",
		},
	}
	index, _, err := list.Run()
	if errors.Is(err, promptui.ErrInterrupt) || errors.Is(err, promptui.ErrEOF) {
		return -1, errInterrupted()
	}
	if err != nil {
		return -1, err
	}
	return index, nil
}

// confirm lets the user choose No, which is first, or Yes; typing the word
// chooses it as well. The question stands above: what promptui draws again with
// every key must not wrap.
func (f fancy) confirm(question string) (bool, error) {
	if _, err := io.WriteString(f.out, question+"\n"); err != nil {
		return false, err
	}
	f.in = &answerKeys{keys: f.in}
	index, err := f.choose("[y/N]: ", []string{"No", "Yes"})
	return index == 1, err
}

// screen ends lines as raw mode wants it, and stays open when what writes to it
// is closed. It keeps back the bell: promptui's line editor rings it for every
// key that is not for a history.
type screen struct{ file *os.File }

func (o screen) Write(p []byte) (int, error) {
	shown := bytes.ReplaceAll(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")), []byte("\a"), nil)
	if _, err := o.file.Write(shown); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (screen) Close() error { return nil }
