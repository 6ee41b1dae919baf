package cardctl_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What to do next is data (internal/advice), and the command line words it: nothing
// below cmd/ knows a command or a flag of cardctl.

// typedWord is a command or a flag as it is typed.
var typedWord = regexp.MustCompile(`(^|[\s'"(,;=])--[a-z%]|\bcardctl ([a-z]+-[a-z]+|info|init|smoke|applet|sim|doctor|%)`)

// oneWord is a flag alone, which may be one of another program.
var oneWord = regexp.MustCompile(`^--[a-z0-9-]+=?$`)

// runsPrograms are the packages that run other programs.
var runsPrograms = regexp.MustCompile(`^internal/(pkcs15|openvpn|setup)/`)

const (
	// writesLines is the package that knows how a command line is written, but no
	// command and no flag.
	writesLines = "internal/typed/"
)

// anyWord is a flag in general.
var anyWord = regexp.MustCompile(`--(%s|name)\b`)

func TestOnlyTheCommandLineKnowsCommands(t *testing.T) {
	for path, file := range sources(t) {
		if !strings.HasPrefix(path, "internal/") || strings.HasPrefix(path, "internal/cardsim/") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				return called(n) != "advice.Run" && called(n) != "e.startDaemon"
			case *ast.BasicLit:
				text, err := strconv.Unquote(n.Value)
				if strings.HasPrefix(path, writesLines) {
					text = anyWord.ReplaceAllString(text, "")
				}
				if n.Kind == token.STRING && err == nil && typedWord.MatchString(text) && !(runsPrograms.MatchString(path) && oneWord.MatchString(text)) {
					t.Errorf("%s: %q is for the command line to say", path, text)
				}
			}
			return true
		})
	}
}

// TestAdviceCanBeTyped keeps sentences rare: a command helps more.
func TestAdviceCanBeTyped(t *testing.T) {
	const most = 20 // sentences
	commands, prose := 0, 0
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				switch called(call) {
				case "advice.Say":
					prose++
				case "advice.Do", "advice.Repeat", "advice.Run":
					commands++
				}
			}
			return true
		})
	}
	if prose > most || commands < 10*most/2 {
		t.Errorf("%d sentences and %d commands; at most %d sentences are allowed", prose, commands, most)
	}
	t.Logf("%d commands, %d sentences", commands, prose)
}

// called is the name of a function of a package.
func called(call *ast.CallExpr) string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	of, ok := method.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return of.Name + "." + method.Sel.Name
}
