package cardctl_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A family is one folder and a line in the list. Nothing else knows its name, its
// cards or its references, except help, which is written for people.

// familyWord is what only the folder of a family may name.
var familyWord = regexp.MustCompile(`(?i)openpgp|pkcs#?15|muscle|\bpiv\b|isoapplet|myeid|java ?card|\bpkcs11:|^"pkcs11"$|^"gp"$`)

// ofFamilies are the folders about kinds of cards: families, the applications on their
// cards, simulated cards, and the management of applets, which only one kind of card
// has.
var ofFamilies = []string{
	"internal/family", "internal/openpgp", "internal/piv", "internal/gp", "internal/pkcs15", "internal/p11", "internal/cardsim", "internal/iso7816",
	"internal/applet", "cmd/cardctl/applet", "internal/simulate", "test",
	"internal/agent/scdaemon", // GnuPG has words of its own for kinds of cards
	"internal/opensslconf",    // an engine of OpenSSL has such a name
}

// helpFields are those of a command that its help shows.
var helpFields = []string{"Use", "Short", "Long", "Example"}

func TestFamiliesAreNamedInTheirFoldersOnly(t *testing.T) {
	for path, file := range sources(t) {
		if slices.ContainsFunc(ofFamilies, func(folder string) bool {
			return strings.HasPrefix(path, folder+"/") || strings.HasPrefix(path, folder+"_") || path == folder+".go"
		}) {
			continue
		}
		for _, found := range named(file) {
			t.Errorf("%s names a family: %s", path, found)
		}
	}
}

// named are the literals and names in a file that name a family, except in help.
func named(file *ast.File) (found []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Comment:
			return false
		case *ast.Field:
			n.Tag = nil // a name in a document
		case *ast.KeyValueExpr:
			field, ok := n.Key.(*ast.Ident)
			return !ok || !slices.Contains(helpFields, field.Name)
		case *ast.ValueSpec:
			return n.Names[0].Name != "theWay" // what a newcomer is shown
		case *ast.CallExpr:
			return !describesFlag(n)
		case *ast.Ident:
			if familyWord.MatchString(n.Name) {
				found = append(found, n.Name)
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING && familyWord.MatchString(n.Value) {
				found = append(found, n.Value)
			}
		}
		return true
	})
	return found
}

// describesFlag reports whether a call makes a flag, whose usage is help.
func describesFlag(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	return ok && (strings.HasSuffix(method.Sel.Name, "Var") || strings.HasSuffix(method.Sel.Name, "VarP") || strings.HasPrefix(method.Sel.Name, "add"))
}

// sources are the Go files of this module, without tests.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		files[filepath.ToSlash(path)] = file
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

// TestTheCommandIsThin keeps work out of the command line.
func TestTheCommandIsThin(t *testing.T) {
	const most = 8250 // lines
	lines := 0
	for path := range sources(t) {
		if !strings.HasPrefix(path, "cmd/cardctl/") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(text, []byte("\n"))
	}
	if lines == 0 || lines > most {
		t.Errorf("cmd/cardctl has %d lines without tests, at most %d are allowed", lines, most)
	}
}
