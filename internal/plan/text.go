package plan

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/cardctl/cardctl/internal/problem"
)

// Limits of the text of a plan. The parser needs time and memory by the square of how
// deep a text is.
const (
	MaxPlan    = 1 << 18 // bytes
	maxDepth   = 16      // lists and mappings in one another
	maxAnchors = 256
	maxTokens  = 1 << 16
	maxWork    = 1 << 22 // bytes and values, with what aliases repeat
)

// mistake is a problem at a place in the text of a plan.
func mistake(at Place, format string, args ...any) *problem.Error {
	what := problem.New(problem.Usage, format, args...).What
	if at.Line == 0 {
		return problem.New(problem.Usage, "%s", what)
	}
	return problem.New(problem.Usage, "line %d, column %d: %s", at.Line, at.Column, what)
}

func placeOf(t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{1, 1}
	}
	return Place{t.Position.Line, t.Position.Column}
}

// readText refuses what is no text in UTF-8, and returns it without a byte-order mark.
func readText(data []byte) ([]byte, error) {
	utf16 := [][]byte{{0xFF, 0xFE}, {0xFE, 0xFF}}
	for _, mark := range utf16 {
		if bytes.HasPrefix(data, mark) {
			return nil, problem.New(problem.Usage, "the text is UTF-16").Because("Save it as UTF-8.")
		}
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return nil, mistake(placeIn(data, at), "a NUL character").Because("The text is not UTF-8, or not text. UTF-16 has such characters: save it as UTF-8.")
	}
	if !utf8.Valid(data) {
		at := 0
		for at < len(data) {
			r, size := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		return nil, mistake(placeIn(data, at), "not UTF-8").Because("Save the text as UTF-8.")
	}
	return data, nil
}

// placeIn is the place of a byte.
func placeIn(data []byte, at int) Place {
	before := data[:at]
	return Place{bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1}
}

// parseText is the only document of a plan.
func parseText(data []byte) (ast.Node, error) {
	if len(data) > MaxPlan {
		return nil, problem.New(problem.Usage, "the plan is too long").Because("A plan has at most %d bytes.", MaxPlan)
	}
	data, err := readText(data)
	if err != nil {
		return nil, err
	}
	tokens := lexer.Tokenize(string(data))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntax(err)
	}
	var documents []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil && d.Body.Type() != ast.CommentType {
			documents = append(documents, d.Body)
		}
	}
	switch len(documents) {
	case 0:
		return nil, problem.New(problem.Usage, "the plan is empty")
	case 1:
		return documents[0], nil
	}
	return nil, mistake(placeOfNode(documents[1]), "a second document").Because("A file holds one plan.")
}

// syntax is what the parser reports, without the text around it: a secret may stand there.
func syntax(err error) error {
	var known yaml.Error
	if !errors.As(err, &known) {
		return problem.New(problem.Usage, "the plan is not YAML")
	}
	p := mistake(placeOf(known.GetToken()), "not YAML")
	message := known.GetMessage()
	if t := known.GetToken(); t != nil && (t.Value == "" || !bytes.Contains([]byte(message), []byte(t.Value))) {
		p.Because("%s", problem.Sentence("the parser reports: "+message))
	}
	return p
}

// checkTokens refuses what a plan does not need, and what is too deep, before it is parsed.
func checkTokens(tokens token.Tokens) error {
	if len(tokens) > maxTokens {
		return problem.New(problem.Usage, "the plan is too long").Because("It has more than %d words and signs.", maxTokens)
	}
	var columns []int // of the open block structures
	flow, anchors := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.TagType:
			return mistake(placeOf(t), "a YAML tag").Because("A plan has no tags such as !!str.")
		case token.MappingKeyType, token.DirectiveType, token.MergeKeyType:
			return mistake(placeOf(t), "%q cannot stand in a plan", t.Value).Because("Write all fields out; a value can be repeated with an anchor and an alias.")
		case token.AnchorType, token.AliasType:
			if anchors++; anchors > maxAnchors {
				return mistake(placeOf(t), "too many anchors and aliases").Because("A plan has at most %d.", maxAnchors)
			}
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingValueType:
			if flow > 0 {
				continue
			}
			column := t.Position.Column
			if t.Type == token.MappingValueType && t.Prev != nil && t.Prev.Position.Line == t.Position.Line {
				column = t.Prev.Position.Column
			}
			columns = append(slices.DeleteFunc(columns, func(c int) bool { return c >= column }), column)
		}
		if flow+len(columns) > maxDepth {
			return mistake(placeOf(t), "the plan is nested too deeply").Because("No field lies that deep.")
		}
	}
	return nil
}

// placeOfNode is where a value begins.
func placeOfNode(n ast.Node) Place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOfNode(n.Values[0])
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key.GetToken())
	case nil:
		return Place{}
	}
	return placeOf(n.GetToken())
}
