package terminal

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// plain asks line by line, without escape sequences.
type plain struct {
	in  io.Reader
	out io.Writer
}

func (p plain) confirm(question string) (bool, error) {
	prompt := strings.ReplaceAll(question, "\n", "\r\n") + " [y/N]: "
	for {
		answer, err := p.line(prompt)
		if err != nil {
			return false, err
		}
		if yes, ok := parseAnswer(answer); ok {
			return yes, nil
		}
	}
}

func (p plain) choose(question string, items []string) (int, error) {
	for i, item := range items {
		if _, err := fmt.Fprintf(p.out, "%3d  %s\r\n", i+1, item); err != nil {
			return -1, err
		}
	}
	for {
		answer, err := p.line(fmt.Sprintf("%s [1-%d]: ", question, len(items)))
		if err != nil {
			return -1, err
		}
		if n, err := strconv.Atoi(strings.TrimSpace(answer)); err == nil && n >= 1 && n <= len(items) {
			return n - 1, nil
		}
	}
}

// maxAnswer is the longest answer, in bytes; what is typed after it is dropped.
const maxAnswer = 64

// line reads a line with echo.
func (p plain) line(prompt string) (string, error) {
	if _, err := io.WriteString(p.out, prompt); err != nil {
		return "", err
	}
	var typed []byte
	for {
		var key [1]byte
		if _, err := io.ReadFull(p.in, key[:]); errors.Is(err, io.EOF) {
			_, _ = io.WriteString(p.out, "\r\n")
			return "", errInterrupted()
		} else if err != nil {
			return "", fmt.Errorf("%w: %w", ErrNoTerminal, err)
		}
		echo := ""
		switch k := key[0]; {
		case k == '\r' || k == '\n':
			_, err := io.WriteString(p.out, "\r\n")
			return string(typed), err
		case (k == keyBackspace || k == keyDelete) && len(typed) > 0:
			_, size := utf8.DecodeLastRune(typed)
			typed = typed[:len(typed)-size]
			echo = "\b \b"
		case k >= ' ' && k != keyDelete && len(typed) < maxAnswer:
			typed = append(typed, k)
			echo = string(key[:])
		}
		if _, err := io.WriteString(p.out, echo); err != nil {
			return "", err
		}
	}
}

// parseAnswer reads yes or no; nothing is no.
func parseAnswer(s string) (yes, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "y", "yes":
		return true, true
	case "", "n", "no":
		return false, true
	}
	return false, false
}
