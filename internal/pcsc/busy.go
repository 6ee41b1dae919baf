package pcsc

import (
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gnupg"
	"github.com/cardctl/cardctl/internal/problem"
)

// Process is a running program. Name is what the system calls it, at most 15
// bytes on Linux; arguments are left out, as they may hold secrets. Shares says that
// it is set to leave cards to others too.
type Process struct {
	PID    int
	Name   string
	Shares bool
}

func (p Process) String() string { return fmt.Sprintf("%s (process %d)", p.Name, p.PID) }

// BusyError is a card that another program holds. Holders are the programs
// that may be it, most likely first; none where the system does not tell.
type BusyError struct {
	Reader  string
	Holders []Process
}

func (e *BusyError) Error() string {
	return "reader " + e.Reader + ": another program holds the card"
}

// Problem is the error in the user's terms, with what to do about the program
// that holds the card.
func (e *BusyError) Problem() *problem.Error {
	p := problem.Wrap(problem.CardBusy, e, e.Error())
	if len(e.Holders) == 0 {
		return p.Because("This system does not report which program it is.").Advise(advice.Do(advice.Diagnose))
	}
	names := make([]string, len(e.Holders))
	for i, h := range e.Holders {
		names[i] = h.String()
	}
	sentence := fmt.Sprintf("The program is %s.", names[0])
	if len(names) > 1 {
		sentence = fmt.Sprintf("The program is one of these: %s.", strings.Join(names, ", "))
	}
	first := e.Holders[0]
	if first.Name != gnupg.CardDaemon {
		return p.Because("%s", sentence).Advise(advice.Say("Close %s, then run the command again.", first))
	}
	share := "With pcsc-shared in its scdaemon.conf, scdaemon shares the card."
	if first.Shares {
		share = "It reads pcsc-shared in its scdaemon.conf only when it starts."
	}
	return p.Because("%s %s", sentence, share).Advise(advice.Run("gpgconf", "--kill", gnupg.CardDaemon))
}
