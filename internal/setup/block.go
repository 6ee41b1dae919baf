package setup

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// block is a part of a text file, between two lines of comment that name it.
type block struct {
	Name string `json:"name"`
	// Comment begins a line that the program skips: "#".
	Comment string `json:"comment"`
	Content string `json:"content"` // whole lines
	// First says that it comes before everything else in the file, where the first
	// value of a setting counts. Otherwise it comes last.
	First bool `json:"first,omitempty"`
	// Over are settings that the block has, of which the last value in the file counts:
	// other values are foreign.
	Over []string `json:"over,omitempty"`
}

func (b *block) begin() string { return b.Comment + " cardctl " + b.Name + ": begin" }
func (b *block) end() string   { return b.Comment + " cardctl " + b.Name + ": end" }
func (b *block) text() string  { return b.begin() + "\n" + b.Content + b.end() + "\n" }

// find splits a file at the block; found is false where there is none.
func (b *block) find(now []byte) (head, own, tail string, found bool, err error) {
	lines := strings.SplitAfter(string(now), "\n")
	from, to := -1, -1
	for i, line := range lines {
		switch strings.TrimSpace(line) {
		case b.begin():
			if from >= 0 {
				return "", "", "", false, errors.New("two blocks of cardctl begin in it")
			}
			from = i
		case b.end():
			if from < 0 || to >= 0 {
				return "", "", "", false, errors.New("a block of cardctl ends in it that does not begin")
			}
			to = i
		}
	}
	if from < 0 {
		return string(now), "", "", false, nil
	}
	if to < 0 {
		return "", "", "", false, errors.New("a block of cardctl begins in it that does not end")
	}
	return strings.Join(lines[:from], ""), strings.Join(lines[from:to+1], ""), strings.Join(lines[to+1:], ""), true, nil
}

func (b *block) compare(now []byte) (state, string, error) {
	head, own, _, found, err := b.find(now)
	if other := b.overridden(head); err == nil && !found && other != "" {
		return foreign, difference(b.Content, other), nil
	}
	switch {
	case err != nil || !found:
		return absent, "", err
	case strings.TrimSuffix(own, "\n") == strings.TrimSuffix(b.text(), "\n"):
		return present, "", nil
	}
	return foreign, difference(b.text(), own), nil
}

// overridden are the lines with other values of settings of the block.
func (b *block) overridden(text string) (lines string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) > 0 && slices.Contains(b.Over, words[0]) && !strings.Contains(b.Content, strings.TrimSpace(line)+"\n") {
			lines += strings.TrimSpace(line) + "\n"
		}
	}
	return lines
}

func (b *block) apply(now []byte) ([]byte, error) {
	head, _, tail, found, err := b.find(now)
	switch {
	case err != nil:
		return nil, err
	case found:
		return []byte(head + b.text() + tail), nil
	case b.First:
		return []byte(b.text() + head), nil
	case head != "" && !strings.HasSuffix(head, "\n"):
		head += "\n"
	}
	return []byte(head + b.text()), nil
}

func (b *block) strip(now, before []byte) ([]byte, error) {
	head, _, tail, _, err := b.find(now)
	if err != nil {
		return nil, err
	}
	rest := []byte(head + tail)
	if before == nil && len(bytes.TrimSpace(rest)) == 0 {
		return nil, nil
	}
	return rest, nil
}
