package marionette

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Error is the answer of Firefox that a command failed.
type Error struct {
	Code    string `json:"error"` // of WebDriver, such as "timeout" or "unknown error"
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The first elements of messages.
const (
	typeCommand = 0
	typeAnswer  = 1
)

// call sends a command and reads its answer into result, which may be nil.
func (s *Session) call(ctx context.Context, name string, parameters, result any) error {
	text, err := json.Marshal(parameters)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return s.send(ctx, name, text, result)
}

// send is call with the parameters as JSON. It wipes its copies of them.
func (s *Session) send(ctx context.Context, name string, parameters []byte, result any) error {
	s.commands++
	frame := newFrame(fmt.Appendf(nil, "[%d,%d,%q,", typeCommand, s.commands, name), parameters, []byte("]"))
	defer clear(frame)
	var answer []byte
	err := s.during(ctx, func() error {
		if _, err := s.connection.Write(frame); err != nil {
			return err
		}
		var err error
		answer, err = readFrame(s.reader)
		return err
	})
	if err == nil {
		err = parseAnswer(answer, s.commands, result)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// parseAnswer reads an answer: its type, the number of the command, an error, a result.
func parseAnswer(text []byte, command int, result any) error {
	var (
		elements       []json.RawMessage
		kind, answered int
		failed         *Error
	)
	if err := json.Unmarshal(text, &elements); err != nil {
		return err
	}
	if len(elements) != 4 {
		return fmt.Errorf("an answer of %d elements", len(elements))
	}
	if err := errors.Join(json.Unmarshal(elements[0], &kind), json.Unmarshal(elements[1], &answered), json.Unmarshal(elements[2], &failed)); err != nil {
		return err
	}
	switch {
	case kind != typeAnswer || answered != command:
		return fmt.Errorf("message %d of type %d, but the answer to %d is expected", answered, kind, command)
	case failed != nil:
		return failed
	case result == nil:
		return nil
	}
	return json.Unmarshal(elements[3], result)
}
