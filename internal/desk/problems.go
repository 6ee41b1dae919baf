package desk

import (
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// Lost is the problem of a card that went away, or that another program reset,
// where nobody said before what was being done.
func Lost(err error) (p *problem.Error, known bool) {
	switch {
	case errors.Is(err, iso7816.ErrCardRemoved):
		return problem.Wrap(problem.CardRemoved, err, "the card was removed").
			Because("The card or its reader was removed while cardctl was using it.").
			Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait))), true
	case errors.Is(err, iso7816.ErrCardReset):
		return problem.Wrap(problem.CardBusy, err, "the card was reset by another program").
			Because("The reset cleared the verified PIN and the selected application.").
			Advise(advice.Repeat()), true
	}
	return nil, false
}

// StatusOf is the status word that err carries, in hex and with its meaning;
// empty where it carries none.
func StatusOf(err error) (hex, text string) {
	status := iso7816.StatusOf(err)
	if status == 0 {
		return "", ""
	}
	return fmt.Sprintf("%04X", uint16(status)), status.String()
}
