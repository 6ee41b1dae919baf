package paper

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
)

// Read reads what the report shows.
func Read(ctx context.Context, l *ledger.Ledger, now time.Time) (*Report, error) {
	cards, err := l.Cards(ctx, ledger.Filter{})
	if err != nil {
		return nil, err
	}
	found := failures{}
	err = l.Events(ctx, ledger.EventFilter{}, func(e ledger.Event) error {
		found.take(e)
		return nil
	})
	return &Report{At: now, Ledger: l.Name(), Cards: cards, Failures: found.list()}, err
}

// failures finds the last command on each card, by its serial.
type failures map[string]last

type last struct {
	begun   int64
	command string
	at      time.Time
	result  string // empty if it did not end
}

// done is how a command ends that did not fail.
const done = "done"

// take reads a record. What is not readable tells nothing here: verify names it.
func (f failures) take(e ledger.Event) {
	var data struct {
		What    string `json:"what"`
		Command string `json:"command"`
		Entry   int64  `json:"entry"`
		Result  string `json:"result"`
	}
	if e.Serial == "" || json.Unmarshal(e.Data, &data) != nil {
		return
	}
	switch data.What {
	case "begin":
		f[e.Serial] = last{begun: e.Number, command: data.Command, at: e.At}
	case "end":
		if known := f[e.Serial]; known.begun == data.Entry {
			known.result, known.at = data.Result, e.At
			f[e.Serial] = known
		}
	}
}

// list are those that failed, the latest first.
func (f failures) list() []Failure {
	var list []Failure
	for serial, k := range f {
		if k.result != done {
			list = append(list, Failure{k.at, serial, k.command, cmp.Or(k.result, "did not end")})
		}
	}
	slices.SortFunc(list, func(a, b Failure) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Serial, b.Serial)) })
	return list
}
