package provision

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// What is told of a card fits the columns, however long the names are.
func TestReportFits(t *testing.T) {
	r := Report{Rows: []Row{{
		Row: 1, Person: "a.person.with.a.long.address@department.example.com", Serial: "D276000124010304FFFE", Reader: "Generic Smart Card Reader 00 00",
		Steps: []Step{{Name: "certificate OPENPGP.3", Result: Done, Detail: strings.Repeat("until a day ", 10), APDUs: 3}},
		Error: strings.Repeat("a long error ", 12) + strings.Repeat("word", 40),
	}}, LeftOut: []LeftOut{{Reader: "Generic Smart Card Reader 00 00", Why: strings.Repeat("why ", 30)}}}
	fingerprint := strings.Repeat("AB", 32)
	r.Rows[0].Steps = append(r.Rows[0].Steps, Step{Name: "key PKCS15.45", Result: Done, Detail: "p256 " + fingerprint})
	var s output.Sheet
	r.Text(&s)
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > output.Width {
			t.Errorf("wider than %d: %q", output.Width, line)
		}
	}
	if !strings.Contains(b.String(), "\n  key PKCS15.45\n    done: p256 "+fingerprint+"\n") {
		t.Errorf("the fingerprint is not in one line:\n%s", b.String())
	}
	if !strings.Contains(b.String(), "a.person.with.a.long.address@department.example.com,\n  D276000124010304FFFE, ") {
		t.Error(b.String())
	}
}

// What is told of a reader where nothing moves fits too, and says all.
func TestEventFits(t *testing.T) {
	e := Event{
		Reader: "Generic Smart Card Reader 00 00", Person: "a.person.with.a.long.address@department.example.com", Step: "key PKCS15.45", Result: string(Failed),
		Detail: "the key \x1b[2J " + strings.Repeat("AB", 60) + ", and more", Left: 12,
	}
	lines := e.Lines()
	for i, line := range lines {
		if utf8.RuneCountInString(line) > output.Width || strings.Contains(line, "\x1b") || strings.HasPrefix(line, "  ") != (i > 0) {
			t.Errorf("%q", line)
		}
	}
	said := strings.ReplaceAll(strings.Join(lines, ""), " ", "")
	for _, want := range []string{"Reader0000:a.person", "@department.example.com:keyPKCS15.45:failed:thekey", strings.Repeat("AB", 60) + ",andmore(12left)"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
	if end := (Event{Reader: "sim:a", Person: "bob", Step: StepDone, Result: string(Done), Left: 1}).Lines(); len(end) != 1 || end[0] != "sim:a: bob: done (1 left)" {
		t.Errorf("%q", end)
	}
	if short := (Event{Reader: "sim:a", Step: "look", Left: 1}).Lines(); len(short) != 1 || short[0] != "sim:a: look (1 left)" {
		t.Errorf("%q", short)
	}
}

// A card that no row is for is told, and not counted.
func TestReportOfACardWithoutARow(t *testing.T) {
	r := Report{Rows: []Row{{Serial: "000F12345678", Reader: "sim:a", Error: "it belongs to another person"}, {Row: 1, Person: "bob", Passed: true}}}
	var s output.Sheet
	r.Text(&s)
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.Contains(text, "Card without a row, 000F12345678, sim:a\n") || !strings.HasSuffix(text, "\n1 of 1 done\n") {
		t.Error(text)
	}
}

// A disk that is full fails the step, and what is written down after it: it is told once, in
// one line.
func TestTold(t *testing.T) {
	full := problem.New(problem.Failed, "the ledger cannot be written").Because("Its file system is full.")
	for want, err := range map[string]error{
		"the ledger cannot be written: Its file system is full.":                       errors.Join(full, full),
		"cannot set the PIN: the ledger cannot be written: Its file system is full.":   errors.Join(problem.Wrap(problem.Failed, full, "cannot set the PIN"), errors.Join(full, full)),
		"the card was removed. The ledger cannot be written: Its file system is full.": errors.Join(errors.New("the card was removed"), full, full),
		"the card was removed": errors.New("the card was removed"),
	} {
		if got := told(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
