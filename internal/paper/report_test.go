package paper

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// hostile is a name that would leave its place in a page that does not escape it.
const hostile = `</td><script>alert("x")</script><img src=http://example.com/?` + "`'\"&"

func aReport() *Report {
	floppy := &ledger.Person{ID: "floppy@example.com", Name: "Floppy Head", Number: 1}
	mallory := &ledger.Person{ID: "m", Name: hostile, Number: 2}
	return &Report{
		At: now, Ledger: "desk.db",
		Cards: []ledger.Card{
			{Serial: "FFFE00000001", Family: "openpgp", State: ledger.Active, Person: floppy, Since: now.Add(-time.Hour), Credentials: []ledger.Credential{
				{Ref: "OPENPGP.3", Subject: "CN=Floppy", NotAfter: now.Add(10 * 24 * time.Hour)},
			}},
			{Serial: "FFFE00000002", Family: "openpgp", State: ledger.Stock, Since: now},
			{Serial: "00000003", Family: "piv", State: ledger.Suspended, Person: mallory, Since: now, Credentials: []ledger.Credential{
				{Ref: "PIV.9A", Subject: "CN=" + hostile, NotAfter: now.Add(-time.Hour)},
				{Ref: "PIV.9C", Subject: "CN=later", NotAfter: now.Add(300 * 24 * time.Hour)},
			}},
			{Serial: "00000004", Family: "piv", State: ledger.Lost, Person: floppy, Since: now, Credentials: []ledger.Credential{
				{Ref: "PIV.9A", Subject: "CN=gone", NotAfter: now.Add(time.Hour), Revoked: "keyCompromise"},
			}},
		},
		Failures: []ledger.Failure{{At: now, Serial: "00000003", Command: "enroll", What: hostile}},
	}
}

func html(t *testing.T, r *Report) string {
	t.Helper()
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// Two persons who were forgotten are two.
func TestForgottenPersonsInTheReport(t *testing.T) {
	r := &Report{At: now, Cards: []ledger.Card{
		{Serial: "A1", State: ledger.Active, Person: &ledger.Person{Number: 7}}, {Serial: "A2", State: ledger.Active, Person: &ledger.Person{Number: 9}},
	}}
	page := html(t, r)
	for _, want := range []string{"Per person (2)", "(forgotten, number 7)", "(forgotten, number 9)"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not there", want)
		}
	}
}

func TestReportEscapesWhatItShows(t *testing.T) {
	page := html(t, aReport())
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("the page has %d scripts", n)
	}
	if strings.Contains(page, "<img") || strings.Contains(page, `alert("x")`) {
		t.Errorf("a name left its place:\n%s", page)
	}
	if !strings.Contains(page, "&lt;/td&gt;&lt;script&gt;") {
		t.Error("the name is not shown")
	}
}

// Whatever is in the page, the browser runs only this script, and loads nothing.
func TestReportPermitsItsOwnScriptAlone(t *testing.T) {
	page := html(t, aReport())
	for _, element := range []string{"style", "script"} {
		inside := regexp.MustCompile(`(?s)<` + element + `>(.*?)</` + element + `>`).FindStringSubmatch(page)
		if inside == nil {
			t.Fatalf("no %s", element)
		}
		hash := sha256.Sum256([]byte(inside[1]))
		want := element + "-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
		if !strings.Contains(strings.NewReplacer("&#43;", "+", "&#39;", "'").Replace(page), want) {
			t.Errorf("the policy lacks %s", want)
		}
	}
	if !strings.Contains(page, "default-src 'none'") {
		t.Error("the policy permits more")
	}
	if found := regexp.MustCompile(`(?i)(src|href)="[^#]`).FindString(page); found != "" {
		t.Errorf("the page refers to something else: %s", found)
	}
}

func rowsOf(t table) (text []string) {
	for _, row := range t.Rows {
		var cells []string
		for _, c := range row.Cells {
			cells = append(cells, strings.Join(c.Lines, "+"))
		}
		text = append(text, row.Class+": "+strings.Join(cells, "|"))
	}
	return text
}

func TestReportTables(t *testing.T) {
	r := aReport()
	for name, c := range map[string]struct {
		table table
		want  []string
	}{
		"expires": {r.expiring(), []string{
			"bad: 00000003|" + hostile + "|PIV.9A|CN=" + hostile + "|2026-11-30",
			"soon: FFFE00000001|Floppy Head|OPENPGP.3|CN=Floppy|2026-12-10",
		}},
		"persons": {r.persons(), []string{
			": " + hostile + "|m|00000003 (suspended)|",
			"soon: Floppy Head|floppy@example.com|FFFE00000001 (active)+00000004 (lost)|2026-12-10",
		}},
		"failed": {r.failed(), []string{": 00000003|" + hostile + "|2026-11-30T12:00:00Z|enroll|" + hostile}},
		"cards": {r.cards(), []string{
			"soon: FFFE00000001|openpgp|active|2026-11-30|Floppy Head|OPENPGP.3: CN=Floppy|2026-12-10",
			": FFFE00000002|openpgp|stock|2026-11-30|||",
			"bad: 00000003|piv|suspended|2026-11-30|" + hostile + "|PIV.9A: CN=" + hostile + "+PIV.9C: CN=later|2026-11-30",
			": 00000004|piv|lost|2026-11-30|Floppy Head|PIV.9A: CN=gone, revoked: keyCompromise|",
		}},
	} {
		if got := rowsOf(c.table); strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s\nnot\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
	if got := r.summary(); got != "Cards: 1 stock, 1 active, 1 suspended, 1 lost." {
		t.Error(got)
	}
}

func TestEmptyReport(t *testing.T) {
	page := html(t, &Report{At: now, Ledger: "desk.db"})
	for _, want := range []string{"There are no cards.", "No card belongs to anybody.", "No certificate on a card in use ends within 30 days."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
