package setup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
)

// state is what is in the place of an entry.
type state int

const (
	absent  state = iota // nothing, or a part of it
	present              // the entry
	foreign              // something else
)

// entry is one thing that is written so that a program uses the key. Its fields are
// what is remembered of it.
type entry interface {
	// kind is its name in a record.
	kind() string
	// whole reports whether it is one that a record can have, whoever wrote that.
	whole() bool
	// place is where it is: a file, or a database and a name in it.
	place() string
	// text is what is written there.
	text() string
	// look compares what is there with the entry. The difference shows what is foreign.
	look(ctx context.Context) (is state, difference string, err error)
	// remember notes what is there before it is written.
	remember(ctx context.Context) error
	// write puts it there.
	write(ctx context.Context) error
	// remove takes it back. What others wrote stays, unless it is foreign.
	remove(ctx context.Context) error
}

// What only some entries do.
type (
	// asking entries are written only if a person agrees, whatever is there. What is in
	// their place cannot be compared: it is theirs only if it is remembered.
	asking interface{ question() advice.Question }
	// held entries belong to a program that may not run while they change.
	held interface{ free() error }
	// tidied entries leave something behind if a run is killed.
	tidied interface{ tidy() }
	// staying entries may belong to a key that a program adopted, which stays.
	staying interface{ stays() bool }
	// equipped entries are written by programs.
	equipped interface{ runBy(tools) }
)

// empty are the entries that a record may have, one of each kind.
func empty() []entry {
	return []entry{&file{}, &pinFile{}, &programLink{}, &nssDatabase{}, &nssModule{}, &nssAuthority{}, &keyboxCertificate{}, &adoptedKey{}}
}

// kept is an entry in a record.
type kept struct{ entry }

func (k *kept) UnmarshalJSON(data []byte) error {
	var raw struct {
		Kind  string          `json:"kind"`
		Entry json.RawMessage `json:"entry"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	kinds := empty()
	at := slices.IndexFunc(kinds, func(e entry) bool { return e.kind() == raw.Kind })
	if at < 0 {
		return fmt.Errorf("unknown kind of entry: %q", raw.Kind)
	}
	k.entry = kinds[at]
	d := json.NewDecoder(bytes.NewReader(raw.Entry))
	d.DisallowUnknownFields() // what another version wrote would not be taken back whole
	if err := d.Decode(k.entry); err != nil {
		return err
	}
	if !k.whole() {
		return fmt.Errorf("an entry is not whole: %s", raw.Kind)
	}
	return nil
}

func (k kept) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"kind": k.kind(), "entry": k.entry})
}

// same reports whether two entries write the same to the same place.
func same(a, b entry) bool { return a.place() == b.place() && a.text() == b.text() }
