package main

import (
	"fmt"
	"regexp"
	"strings"
)

// manDate is the date on the pages. It is no date of a build, which would make
// every build another one; a release moves it.
const manDate = "2026-11-20"

// page is a manual page while it is written, in the language of man(7).
type page struct{ strings.Builder }

// newPage begins a page with its name and what it is about.
func newPage(name, section, about string) *page {
	p := new(page)
	p.line(`.TH %s %s %s cardctl "cardctl manual"`, roff(strings.ToUpper(name)), section, manDate)
	p.heading("NAME")
	p.line(`%s \- %s`, roff(name), roff(about))
	return p
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) heading(text string) { p.line(".SH %s", strings.ToUpper(roff(text))) }

// paragraph is text in the language of man(7) already, after an empty line
// unless it comes first in its section.
func (p *page) paragraph(text string, first bool) {
	if !first {
		p.line(".PP")
	}
	p.filled(text)
}

// item is a term and what it means.
func (p *page) item(term, meaning string) {
	p.line(".TP")
	p.line("%s", guarded(term))
	p.filled(meaning)
}

// filled writes text in lines that are not too long; the reader's program fills
// them anew.
func (p *page) filled(text string) {
	const longest = 78
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > longest {
			p.line("%s", guarded(line))
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	p.line("%s", guarded(line))
}

// literal is text that keeps its lines, indented.
func (p *page) literal(text string, first bool) {
	if !first {
		p.line(".PP")
	}
	p.line(".RS 4")
	p.line(".nf")
	for line := range strings.Lines(text) {
		p.line("%s", guarded(roff(strings.TrimSuffix(line, "\n"))))
	}
	p.line(".fi")
	p.line(".RE")
}

// prose writes plain text: paragraphs, and what is indented line by line.
func (p *page) prose(text string) {
	first := true
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(block, "  ") {
			p.literal(unindented(block), first)
		} else {
			p.paragraph(roff(strings.Join(strings.Fields(block), " ")), first)
		}
		first = false
	}
}

// seeAlso names other pages: "cardctl(1)".
func (p *page) seeAlso(pages []string) {
	p.heading("SEE ALSO")
	for i, name := range pages {
		end := " ,"
		if i == len(pages)-1 {
			end = ""
		}
		title, section, _ := strings.Cut(strings.TrimSuffix(name, ")"), "(")
		p.line(".BR %s (%s)%s", roff(title), section, strings.TrimSpace(end))
	}
}

var special = strings.NewReplacer(
	`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, `"`, `\(dq`,
	"…", `\[u2026]`, "→", `\(->`, "×", `\(mu`,
)

// roff is plain text with what man(7) would take for its own escaped.
func roff(text string) string { return special.Replace(text) }

// guarded keeps the beginning of a line from being taken for a request.
func guarded(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

func bold(text string) string   { return `\fB` + roff(text) + `\fR` }
func italic(text string) string { return `\fI` + roff(text) + `\fR` }

// metavariable is what stands for something else: REF, FILE, AID.
var metavariable = regexp.MustCompile(`\b[A-Z]{2,}\b`)

// synopsis is a command line with the command and its flags bold.
func synopsis(path, arguments string) string {
	var words []string
	for _, word := range strings.Fields(arguments) {
		switch {
		case strings.HasPrefix(word, "--"):
			word = bold(word)
		case metavariable.MatchString(word):
			word = italic(word)
		default:
			word = roff(word)
		}
		words = append(words, word)
	}
	return strings.TrimSpace(bold(path) + " " + strings.Join(words, " "))
}

// unindented takes away the spaces that all lines begin with.
func unindented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	least := len(text)
	for _, line := range lines {
		if rest := strings.TrimLeft(line, " "); rest != "" {
			least = min(least, len(line)-len(rest))
		}
	}
	for i, line := range lines {
		lines[i] = strings.TrimRight(line[min(least, len(line)):], " ")
	}
	return strings.Join(lines, "\n")
}
