package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// said are the fields of a record that something is concluded from.
type said struct {
	What, Command, Note, Ref, Gone, Result, Chip, Card string
	State                                              State
	Init, Over                                         bool
	Entry                                              int64
	Data                                               json.RawMessage // of a change, or a note
}

// said reads a record. What is not readable tells nothing: Verify names it.
func (e Event) said() (s said) {
	if json.Unmarshal(e.Data, &s) != nil {
		return said{}
	}
	return s
}

// The records that are read here, and the fields of their data.
const (
	whatBegin = "begin"
	noteKey   = "key"
	dataSteps = "steps"
)

// data are the further facts of a change, as the log has them.
func (c Change) data() map[string]any {
	if len(c.Data)+len(c.Steps) == 0 {
		return nil
	}
	data := map[string]any{}
	maps.Copy(data, c.Data)
	if len(c.Steps) > 0 {
		data[dataSteps] = c.Steps
	}
	return data
}

// Key is a key that a card got. What is not known is empty.
type Key struct {
	Ref string `json:"ref"`
	// Fingerprint is what people see, SPKI the hash of its SubjectPublicKeyInfo.
	Fingerprint string `json:"fingerprint,omitempty"`
	SPKI        string `json:"key,omitempty"`
	Algorithm   string `json:"algorithm,omitempty"`
}

// Key records a key that the card got.
func (e *Entry) Key(ctx context.Context, k Key) error {
	return e.after(ctx, fact{What: factNote, Data: map[string]any{"note": noteKey, "data": k}})
}

// HadKey reports whether a card has a key in a place, by the log: since it was initialised
// last, it got one there, or a certificate, and the key was not deleted.
func (l *Ledger) HadKey(ctx context.Context, serial, ref string) (had bool, err error) {
	err = l.Events(ctx, EventFilter{Serial: serial}, func(e Event) error {
		s := e.said()
		if s.Over {
			return nil
		}
		switch s.What {
		case whatBegin:
			had = had && !s.Init
		case factErased:
			had = false
		case factGone:
			had = had && (s.Ref != ref || s.Gone == "certificate")
		case factCertified:
			had = had || s.Ref == ref
		case factNote:
			var k Key
			had = had || s.Note == noteKey && json.Unmarshal(s.Data, &k) == nil && k.Ref == ref
		}
		return nil
	})
	return had, err
}

// Announced reports whether a step was announced for a card since it went to the person who
// has it: it may have been done, wholly or in part.
func (l *Ledger) Announced(ctx context.Context, serial, step string) (announced bool, err error) {
	err = l.Events(ctx, EventFilter{Serial: serial}, func(e Event) error {
		s := e.said()
		if s.What != whatBegin {
			return nil
		}
		var data struct{ Steps []string }
		_ = json.Unmarshal(s.Data, &data) // a change without steps has other data, or none
		announced = announced && s.State != Issuing || slices.Contains(data.Steps, step)
		return nil
	})
	return announced, err
}

// Failure is the last command on a card that is not done.
type Failure struct {
	At              time.Time
	Serial, Command string
	What            string // how it ended
}

// Failures are the cards whose last command failed, or did not end, the latest first.
func (l *Ledger) Failures(ctx context.Context) ([]Failure, error) {
	begun, open := map[string]int64{}, map[string]Failure{}
	err := l.Events(ctx, EventFilter{}, func(e Event) error {
		switch s := e.said(); {
		case e.Serial == "":
		case s.What == whatBegin:
			begun[e.Serial], open[e.Serial] = e.Number, Failure{e.At, e.Serial, s.Command, "did not end"}
		case s.What != factEnd || begun[e.Serial] != s.Entry:
		case s.Result == resultDone:
			delete(open, e.Serial)
		default:
			open[e.Serial] = Failure{e.At, e.Serial, open[e.Serial].Command, cmp.Or(s.Result, "did not end")}
		}
		return nil
	})
	return slices.SortedFunc(maps.Values(open), func(a, b Failure) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Serial, b.Serial))
	}), err
}
