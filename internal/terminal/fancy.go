package terminal

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/manifoldco/promptui"
)

// fancy lets the user choose with the cursor keys, through promptui. Only that:
// promptui's line input reads the answer while another goroutine may still
// draw, which is nothing to erase a card on.
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

// output ends lines as raw mode wants it, and stays open when what writes to it
// is closed.
type output struct{ file *os.File }

func (o output) Write(p []byte) (int, error) {
	if _, err := o.file.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (output) Close() error { return nil }
