package setup

import (
	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// holder is a program that has its files in memory while it runs, and writes them when
// it ends. The zero holder is none.
type holder struct {
	Program string `json:"program,omitempty"`
	// Lock is the file that it locks, or the link that names its process.
	Lock string `json:"lock,omitempty"`
}

// free refuses to change files of a program that runs.
func (h holder) free() error {
	if h.Lock == "" || !inUse(h.Lock) {
		return nil
	}
	return problem.New(problem.Refused, "%s is running", h.Program).
		Because("It would not notice the change, and could undo it. Nothing was changed.").Advise(advice.Say("Close %s, and repeat the command.", h.Program))
}

// free refuses if one of the entries belongs to a program that runs.
func free(entries map[int]entry) error {
	for _, e := range entries {
		if h, is := e.(held); is {
			if err := h.free(); err != nil {
				return err
			}
		}
	}
	return nil
}
