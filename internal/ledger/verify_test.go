package ledger

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// A record that was changed together with its hash is found by the record after it.
func TestARecordWithAHashOfItsOwn(t *testing.T) {
	l := opened(t)
	for range 3 {
		if _, err := l.Begin(t.Context(), Change{Command: "init", Serial: "A1"}); err != nil {
			t.Fatal(err)
		}
	}
	var second stored
	if err := l.inspect(t.Context(), func(s stored) error {
		if s.number == 2 {
			second = s
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	second.data = `{"what":"another"}`
	if err := l.db.Exec(t.Context(), "UPDATE event SET data = $1, hash = $2 WHERE number = 2", second.data, second.digest()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify(t.Context(), nil); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "record 2 of the log was changed") {
		t.Error(err)
	}
}

// What is no number where a number belongs was changed.
func TestARecordThatIsNotRead(t *testing.T) {
	for _, change := range []string{"at = at || '.5'", "person = 'x'"} {
		l := opened(t)
		for range 3 {
			if _, err := l.Begin(t.Context(), Change{Command: "init", Serial: "A1"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.db.Exec(t.Context(), "UPDATE event SET "+change+" WHERE number = 2"); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Verify(t.Context(), nil); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "record 2 of the log was changed") {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// When the log was signed is what the anchor says, not the database, where no signature covers
// it.
func TestTheTimeOfAnAnchor(t *testing.T) {
	l := opened(t)
	if _, err := l.Begin(t.Context(), Change{Command: "init", Serial: "A1"}); err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := l.Sign(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.db.Exec(t.Context(), "UPDATE signature SET at = 1"); err != nil {
		t.Fatal(err)
	}
	if v, err := l.Verify(t.Context(), anchor); err != nil || v.Signed != 1 || !v.At.Equal(anchor.At) {
		t.Errorf("%+v, %v", v, err)
	}
}

// The role of a station gets no right on the log except to read it.
func TestAStationOnlyAddsToTheLog(t *testing.T) {
	granted := 0
	for line := range strings.Lines(routines) {
		rights, tables, ok := strings.Cut(line, " ON ")
		if !ok || !strings.Contains(rights, "GRANT ") {
			continue
		}
		if strings.Contains(rights, "DELETE") || strings.Contains(rights, "TRUNCATE") || strings.Contains(rights, "ALL") {
			t.Error(line)
		}
		if strings.Contains(tables, "public.event") {
			granted++
			if !strings.HasSuffix(rights, "GRANT SELECT") {
				t.Error(line)
			}
		}
	}
	if granted != 1 {
		t.Errorf("%d rights on the log", granted)
	}
}
