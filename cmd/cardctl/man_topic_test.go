package main

import (
	"fmt"
	"regexp"
	"strings"
)

// topicPage makes a page of section 7 out of a document. It knows what these
// documents are written in: headings, paragraphs, lists, tables and code.
func topicPage(name, document string) (string, error) {
	title, rest, found := strings.Cut(document, "\n")
	about, isTitle := strings.CutPrefix(title, "# ")
	if !found || !isTitle {
		return "", fmt.Errorf("%s: the document begins with no title", name)
	}
	p := newPage(name, "7", strings.ToLower(about[:1])+about[1:]+" of cardctl")
	p.heading("DESCRIPTION")
	first := true
	for _, block := range blocks(rest) {
		if heading, ok := strings.CutPrefix(block, "## "); ok {
			p.heading(heading)
			first = true
			continue
		}
		p.block(block, first)
		first = false
	}
	p.seeAlso([]string{"cardctl(1)"})
	return p.String(), nil
}

// blocks are what empty lines part; fenced code is one.
func blocks(text string) []string {
	var list, lines []string
	fenced := false
	flush := func() {
		if len(lines) > 0 {
			list = append(list, strings.Join(lines, "\n"))
		}
		lines = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		fence := strings.HasPrefix(line, "```")
		if line == "" && !fenced || fence && !fenced {
			flush()
		}
		if line != "" || fenced {
			lines = append(lines, line)
		}
		if fence {
			fenced = !fenced
		}
	}
	flush()
	return list
}

// block writes one of the blocks of a document. Of a table the first two columns
// are what is explained, and the others explain it. Comments are omitted.
func (p *page) block(block string, first bool) {
	lines := strings.Split(block, "\n")
	switch {
	case strings.HasPrefix(block, "<!--"):
	case strings.HasPrefix(block, "```"):
		p.literal(strings.Join(lines[1:len(lines)-1], "\n"), first)
	case strings.HasPrefix(block, "    "):
		p.literal(unindented(block), first)
	case strings.HasPrefix(block, "|"):
		for _, row := range lines[2:] {
			cells := tableCells(row)
			terms := min(2, len(cells)-1)
			p.item(inline(strings.Join(nonEmpty(cells[:terms]), ", ")), inline(strings.Join(nonEmpty(cells[terms:]), ". ")))
		}
	case strings.HasPrefix(block, "- "):
		for item := range strings.SplitSeq("\n"+block, "\n- ") {
			if item != "" {
				p.line(`.IP \(bu 3`)
				p.filled(inline(strings.Join(strings.Fields(item), " ")))
			}
		}
	default:
		p.paragraph(inline(strings.Join(strings.Fields(block), " ")), first)
	}
}

// tableCells are the cells of a row; a bar that is not the end of one is written
// as \|.
func tableCells(row string) []string {
	row = strings.ReplaceAll(strings.Trim(row, "|"), `\|`, "\x00")
	cells := strings.Split(row, "|")
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(strings.TrimSpace(cell), "\x00", "|")
	}
	return cells
}

func nonEmpty(cells []string) []string {
	var list []string
	for _, cell := range cells {
		if cell != "" {
			list = append(list, cell)
		}
	}
	return list
}

var marked = regexp.MustCompile("`[^`]+`|\\*\\*[^*]+\\*\\*|\\[[^\\]]+\\]\\([^)]+\\)")

// inline is text with code and emphasis bold, and of links their words.
func inline(text string) string {
	var b strings.Builder
	end := 0
	for _, span := range marked.FindAllStringIndex(text, -1) {
		b.WriteString(roff(text[end:span[0]]))
		switch mark := text[span[0]:span[1]]; mark[0] {
		case '`':
			b.WriteString(bold(strings.Trim(mark, "`")))
		case '*':
			b.WriteString(bold(strings.Trim(mark, "*")))
		default:
			words, _, _ := strings.Cut(mark[1:], "](")
			b.WriteString(inline(words))
		}
		end = span[1]
	}
	b.WriteString(roff(text[end:]))
	return b.String()
}
