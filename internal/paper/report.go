// Package paper is what is printed of a ledger: the page about all cards, and the letters
// to their holders. It reads and writes no ledger, no file and no card.
package paper

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
)

var (
	//go:embed report.html
	reportPage string
	//go:embed report.css
	reportStyle string
	//go:embed report.js
	reportScript string
)

// Soon is how long before its end a certificate is in the report as one that expires.
const Soon = 30 * 24 * time.Hour

// Report is the page about all cards.
type Report struct {
	At       time.Time
	Ledger   string // its name
	Cards    []ledger.Card
	Failures []ledger.Failure // what was not done since
}

// page is what the template shows.
type page struct {
	At, Day, Ledger, Summary string
	StyleHash, ScriptHash    string
	Style                    template.CSS
	Script                   template.JS
	Tables                   []table
}

type table struct {
	ID, Title, Caption, None string
	Columns                  []string
	Rows                     []row
}

type row struct {
	Class string
	Cells []cell
}

// cell is one of a table, with what it is sorted by, if that is not its text.
type cell struct {
	Lines []string
	Sort  string
}

func text(lines ...string) cell { return cell{Lines: lines} }

// HTML is one page that needs nothing else, and that no browser lets load anything.
func (r *Report) HTML() ([]byte, error) {
	shown, err := template.New("report").Parse(reportPage)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = shown.Execute(&b, page{
		At: output.Time(r.At), Day: r.At.UTC().Format(time.DateOnly), Ledger: r.Ledger, Summary: r.summary(),
		StyleHash: sourceHash(reportStyle), ScriptHash: sourceHash(reportScript),
		Style: template.CSS(reportStyle), Script: template.JS(reportScript),
		Tables: []table{r.expiring(), r.failed(), r.persons(), r.cards()},
	})
	return b.Bytes(), err
}

// sourceHash is how a Content-Security-Policy names what may stand in the page.
func sourceHash(source string) string {
	hash := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(hash[:])
}

func (r *Report) summary() string {
	counts := map[ledger.State]int{}
	for i := range r.Cards {
		counts[r.Cards[i].State]++
	}
	var parts []string
	for _, state := range ledger.States() {
		if counts[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[state], state))
		}
	}
	if len(parts) == 0 {
		return "There are no cards."
	}
	return "Cards: " + strings.Join(parts, ", ") + "."
}

// expiring are the certificates that end soon or have ended, of cards that are out.
func (r *Report) expiring() table {
	t := table{
		ID: "expires", Title: "What expires", Caption: "Certificates on cards in use that end within 30 days, or have ended.",
		None: "No certificate on a card in use ends within 30 days.", Columns: []string{"Card", "Person", "Key", "Subject", "Valid until"},
	}
	for i := range r.Cards {
		c := &r.Cards[i]
		if c.State != ledger.Active && c.State != ledger.Suspended {
			continue
		}
		for _, held := range c.Credentials {
			if held.NotAfter.IsZero() || held.Revoked != "" || held.NotAfter.After(r.At.Add(Soon)) {
				continue
			}
			t.Rows = append(t.Rows, row{r.class(held.NotAfter), []cell{
				text(c.Serial), text(named(c.Person)), text(held.Ref), text(held.Subject), until(held.NotAfter),
			}})
		}
	}
	slices.SortStableFunc(t.Rows, func(a, b row) int { return cmp.Compare(a.Cells[4].Sort, b.Cells[4].Sort) })
	return t
}

// class is how a certificate is marked that ends then.
func (r *Report) class(end time.Time) string {
	switch {
	case end.IsZero() || end.After(r.At.Add(Soon)):
		return ""
	case end.After(r.At):
		return "soon"
	}
	return "bad"
}

func (r *Report) failed() table {
	t := table{
		ID: "failed", Title: "What failed", Caption: "The last command on each of these cards failed, or did not end.",
		None: "The last command on each card was done.", Columns: []string{"Card", "Person", "Time", "Command", "Why"},
	}
	owners := map[string]*ledger.Person{}
	for i := range r.Cards {
		owners[r.Cards[i].Serial] = r.Cards[i].Person
	}
	for _, f := range r.Failures {
		t.Rows = append(t.Rows, row{"", []cell{
			text(f.Serial), text(named(owners[f.Serial])), text(output.Time(f.At)), text(f.Command), text(f.What),
		}})
	}
	return t
}

// persons are those who have a card, each with all of them.
func (r *Report) persons() table {
	t := table{
		ID: "persons", Title: "Per person", Caption: "Persons, with their cards and the first end of a certificate.",
		None: "No card belongs to anybody.", Columns: []string{"Person", "ID", "Cards", "Valid until"},
	}
	cards := map[int64][]*ledger.Card{} // the ID of who was forgotten is empty
	var order []*ledger.Person
	for i := range r.Cards {
		c := &r.Cards[i]
		if c.Person == nil {
			continue
		}
		if cards[c.Person.Number] == nil {
			order = append(order, c.Person)
		}
		cards[c.Person.Number] = append(cards[c.Person.Number], c)
	}
	slices.SortStableFunc(order, func(a, b *ledger.Person) int { return cmp.Or(cmp.Compare(named(a), named(b)), cmp.Compare(a.ID, b.ID)) })
	for _, p := range order {
		var lines []string
		var first time.Time
		for _, c := range cards[p.Number] {
			lines = append(lines, c.Serial+" ("+string(c.State)+")")
			if c.State == ledger.Active {
				first = earlier(first, firstEnd(c))
			}
		}
		t.Rows = append(t.Rows, row{r.class(first), []cell{text(named(p)), text(p.ID), text(lines...), until(first)}})
	}
	return t
}

func (r *Report) cards() table {
	t := table{
		ID: "cards", Title: "Per card", Caption: "All cards, with their certificates.", None: "There are no cards.",
		Columns: []string{"Card", "Kind", "State", "Since", "Person", "Certificates", "Valid until"},
	}
	for i := range r.Cards {
		c := &r.Cards[i]
		end, class := firstEnd(c), ""
		if c.State == ledger.Active || c.State == ledger.Suspended {
			class = r.class(end)
		}
		var lines []string
		for _, held := range c.Credentials {
			line := held.Ref + ": " + cmp.Or(held.Subject, "(not readable)")
			if held.Revoked != "" {
				line += ", revoked: " + held.Revoked
			}
			lines = append(lines, line)
		}
		t.Rows = append(t.Rows, row{class, []cell{
			text(c.Serial), text(c.Family), text(string(c.State)), date(c.Since), text(named(c.Person)), text(lines...), until(end),
		}})
	}
	return t
}

// named is what a person is called on paper.
func named(p *ledger.Person) string {
	switch {
	case p == nil:
		return ""
	case p.ID == "":
		return fmt.Sprintf("(forgotten, number %d)", p.Number)
	}
	return cmp.Or(p.Name, p.ID)
}

// firstEnd is when the first certificate of a card ends; zero of one without any.
func firstEnd(c *ledger.Card) (first time.Time) {
	for _, held := range c.Credentials {
		if held.Revoked == "" {
			first = earlier(first, held.NotAfter)
		}
	}
	return first
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// until is when something ends; what never ends is sorted behind.
func until(end time.Time) cell {
	if end.IsZero() {
		return cell{Sort: "9999"}
	}
	return date(end)
}

// date shows the day, and sorts by the moment.
func date(t time.Time) cell {
	return cell{Lines: []string{t.UTC().Format(time.DateOnly)}, Sort: output.Time(t)}
}
