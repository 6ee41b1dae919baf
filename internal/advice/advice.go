// Package advice is what a person can do next, as data: an action of cardctl
// with its values, a command of another program, or one sentence; and which
// value or secret is asked for. It is a leaf and knows no command line. Its
// callers word it: as a command to type, a step of a plan or a button.
package advice

import (
	"fmt"
	"slices"
)

// Advice is one thing to do next. The zero Advice is none.
type Advice struct {
	Action Action
	// Object is what the action works on, where that is not a value with a name:
	// the name of a PIN or of a simulated card, an AID.
	Object string
	// Values are what the action is given, Omit what it is given no longer.
	Values []Value
	Omit   []Field

	// Program is a command of another program, word by word.
	Program []string
	// Sentence is an imperative sentence, where no command does it.
	Sentence string
}

// Value is a value of an action.
type Value struct {
	Field Field
	// Text is the value; it is empty for what is only switched on.
	Text string
	// Asked says that the value is a secret, which a person is asked for.
	Asked bool
	// Open says that the person has to put in the value.
	Open bool
}

// Set gives a field a value.
func Set(field Field, text string) Value { return Value{Field: field, Text: text} }

// Switch turns on what needs no value.
func Switch(field Field) Value { return Value{Field: field} }

// Ask has a person asked for a secret.
func Ask[Name ~string](name Name) Value { return Value{Field: Field(name), Asked: true} }

// Fill leaves a value to the person.
func Fill(field Field) Value { return Value{Field: field, Open: true} }

// Do is an action on the card that is worked on.
func Do(action Action, values ...Value) Advice { return Advice{Action: action, Values: values} }

// Repeat is what was done, once more, with these values in addition or in the
// place of those it had.
func Repeat(values ...Value) Advice { return Do(Again, values...) }

// Run is a command of another program.
func Run(program ...string) Advice { return Advice{Program: program} }

// Say is an imperative sentence.
func Say(format string, args ...any) Advice { return Advice{Sentence: fmt.Sprintf(format, args...)} }

// On names what the action works on.
func (a Advice) On(object string) Advice {
	a.Object = object
	return a
}

// Without leaves out values that were given.
func (a Advice) Without(fields ...Field) Advice {
	a.Omit = append(slices.Clone(a.Omit), fields...)
	return a
}

// IsZero reports whether there is no advice.
func (a Advice) IsZero() bool {
	return a.Action == None && len(a.Program) == 0 && a.Sentence == ""
}
