package problem

import (
	"context"
	"errors"
	"strings"
)

// Explained is for an error that says enough: an interruption, or an Error. What
// says what was being done; state, where it is not empty, what is on the card now.
// It is false for an error that has still to be put into the user's terms.
func Explained(err error, what, state string) (error, bool) {
	var known *Error
	switch {
	case err == nil:
		return nil, true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if state == "" {
			return err, true
		}
		return &stateError{err, state}, true
	case errors.As(err, &known):
		p := Wrap(known.Code, err, what)
		p.Why = Sentences(p.Reason(), state)
		return p, true
	}
	return err, false
}

// stateError is an interruption that tells what is on the card.
type stateError struct {
	error
	state string
}

func (e *stateError) Unwrap() error { return e.error }
func (e *stateError) Error() string { return e.error.Error() + ". " + e.state }

// Sentences joins those that are there.
func Sentences(parts ...string) string {
	var filled []string
	for _, part := range parts {
		if part != "" {
			filled = append(filled, part)
		}
	}
	return strings.Join(filled, " ")
}

// Sentence gives what a lower layer said the form of a sentence.
func Sentence(text string) string {
	if text == "" {
		return ""
	}
	// A first word that is not one may be the name of a file, and cardctl is a name.
	if first, _, _ := strings.Cut(text, " "); first != "cardctl" && strings.Trim(first, "abcdefghijklmnopqrstuvwxyz") == "" {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.ContainsRune(".?!", rune(text[len(text)-1])) {
		text += "."
	}
	return text
}
