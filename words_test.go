package cardctl_test

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// advised is a word that is not used, and what is written instead.
type advised struct {
	word    *regexp.Regexp
	instead string
}

// TestWordsThatReadAtOnce looks for the words of testdata/words.txt in what people
// read: strings of the program, documents, and what scripts print. What stands in
// testdata/words-allowed.txt, with its place, is as it should be.
func TestWordsThatReadAtOnce(t *testing.T) {
	list := wordList(t)
	const most = 20
	used := map[string]bool{}
	for _, line := range lines(t, "testdata/words-allowed.txt") {
		used[line] = false
	}
	if len(used) > most {
		t.Errorf("%d exceptions, at most %d are allowed", len(used), most)
	}
	for place, texts := range whatPeopleRead(t) {
		for _, text := range texts {
			for _, a := range list {
				found := a.word.FindString(text)
				if found == "" {
					continue
				}
				exception := place + ": " + strings.ToLower(found)
				if _, allowed := used[exception]; allowed {
					used[exception] = true
					continue
				}
				t.Errorf("%s: %q in %q: write %s", place, found, text, a.instead)
			}
		}
	}
	for exception, was := range used {
		if !was {
			t.Errorf("testdata/words-allowed.txt has an exception that is not used: %s", exception)
		}
	}
}

func wordList(t *testing.T) []advised {
	t.Helper()
	var list []advised
	for _, line := range lines(t, "testdata/words.txt") {
		word, instead, ok := strings.Cut(line, " => ")
		if !ok {
			t.Fatalf("testdata/words.txt: %s", line)
		}
		list = append(list, advised{regexp.MustCompile("(?i)" + word), instead})
	}
	return list
}

// lines are those of a file, without empty ones and comments.
func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

// whatPeopleRead are texts, by their places.
func whatPeopleRead(t *testing.T) map[string][]string {
	t.Helper()
	texts := map[string][]string{}
	for path, file := range sources(t) {
		if !strings.HasPrefix(path, "test/") && !strings.HasPrefix(path, "internal/cardsim/") {
			texts[path] = sentences(t, path, file)
		}
	}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		documents, err := filepath.Glob(pattern)
		if err != nil || len(documents) == 0 {
			t.Fatalf("%s: %d documents, %v", pattern, len(documents), err)
		}
		for _, document := range documents {
			texts[document] = prose(t, document)
		}
	}
	for _, pattern := range []string{"scripts/*.sh", "scripts/*/*.sh"} {
		scripts, err := filepath.Glob(pattern)
		if err != nil || len(scripts) == 0 {
			t.Fatalf("%s: %d scripts, %v", pattern, len(scripts), err)
		}
		for _, script := range scripts {
			texts[script] = spoken(t, script)
		}
	}
	return texts
}

// sentences are the strings of a file that have more than one word.
func sentences(t *testing.T, path string, file *ast.File) []string {
	t.Helper()
	var texts []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			n.Tag = nil
		case *ast.BasicLit:
			if n.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(n.Value)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if strings.ContainsAny(text, " \n\t") {
				texts = append(texts, text)
			}
		}
		return true
	})
	return texts
}

// prose are the paragraphs of a document, without code and what is printed.
func prose(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	code := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if !code && !strings.HasPrefix(line, "    ") {
			texts = append(texts, codeSpan.ReplaceAllString(strings.TrimSpace(line), "`…`"))
		}
	}
	return texts
}

var codeSpan = regexp.MustCompile("`[^`]*`")

// spoken are the lines of a script that print.
func spoken(t *testing.T, path string) []string {
	t.Helper()
	var texts []string
	for _, line := range lines(t, path) {
		if printing.MatchString(line) {
			texts = append(texts, line)
		}
	}
	return texts
}

var printing = regexp.MustCompile(`\b(say|die|usage|heading|echo|printf) `)
