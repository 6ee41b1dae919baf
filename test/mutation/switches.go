//go:build cgo && unix

package mutation

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
)

const (
	// environment is the variable with the name of the mutation that is switched on.
	environment = "MUTATION"
	// switchFile is a file that each mutated package has in addition.
	switchFile = "switched_on_mutation.go"
	// switchSource is its source, for the name of the package.
	switchSource = `package %s

import "os"

var switchedOnMutation = os.Getenv("` + environment + `")
`
)

// switched returns a file with some of its mutations, and those that are not in it. A
// function calls its mutated copy if that is switched on:
//
//	if switchedOnMutation == NAME { return func(…) … { … }(…) }
//
// The copy is a function, so that its labels, results and redeclared parameters are its
// own. What is not in a function cannot be switched, nor can a function that recovers,
// which it does for its caller.
func switched(source string, mutations []mutation) (file string, left []mutation, err error) {
	original, err := parse(source)
	if err != nil {
		return "", nil, err
	}
	calls := map[int]string{} // of mutated copies, by where they are inserted
	for _, m := range mutations {
		at, call := m.call(original)
		if call == "" {
			left = append(left, m)
			continue
		}
		calls[at] += call
	}
	for _, at := range slices.Backward(slices.Sorted(maps.Keys(calls))) { // what is before stays where it is
		source = source[:at] + calls[at] + source[at:]
	}
	return source, left, nil
}

// call returns the statement that calls the mutated copy, and where its place is. It is
// empty if the mutation cannot be switched.
func (m mutation) call(original parsed) (at int, statement string) {
	mutated, err := parse(m.mutated(original.source))
	if err != nil || len(mutated.Decls) != len(original.Decls) {
		return 0, ""
	}
	from := strings.Index(original.source, m.from)
	for i, declaration := range original.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil || recovers(function) {
			continue
		}
		begin, end := original.offset(function.Body.Lbrace)+1, original.offset(function.Body.Rbrace)
		if from < begin || from+len(m.from) > end {
			continue
		}
		if copied, ok := mutated.Decls[i].(*ast.FuncDecl); ok && copied.Body != nil {
			return begin, mutated.callIf(m.name, copied)
		}
	}
	return 0, ""
}

func recovers(function *ast.FuncDecl) (does bool) {
	ast.Inspect(function.Body, func(n ast.Node) bool {
		name, is := n.(*ast.Ident)
		does = does || is && name.Name == "recover"
		return true
	})
	return does
}

// parsed is a file and its source.
type parsed struct {
	*ast.File
	set    *token.FileSet
	source string
}

func parse(source string) (parsed, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, parser.SkipObjectResolution)
	return parsed{file, set, source}, err
}

func (p parsed) offset(at token.Pos) int { return p.set.Position(at).Offset }

func (p parsed) text(n ast.Node) string { return p.source[p.offset(n.Pos()):p.offset(n.End())] }

// callIf is a function as a literal that is called with its own parameters, if it is
// switched on.
func (p parsed) callIf(name string, function *ast.FuncDecl) string {
	var parameters, arguments []string
	add := func(fields *ast.FieldList) {
		for _, field := range fields.List {
			dots := ""
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				dots = "..."
			}
			for _, parameter := range field.Names {
				if parameter.Name != "_" {
					parameters = append(parameters, parameter.Name+" "+p.text(field.Type))
					arguments = append(arguments, parameter.Name+dots)
				}
			}
		}
	}
	if function.Recv != nil {
		add(function.Recv)
	}
	add(function.Type.Params)
	call, results := "%s; return", ""
	if function.Type.Results != nil {
		call, results = "return %s", p.text(function.Type.Results)
	}
	literal := fmt.Sprintf("func(%s) %s %s(%s)", strings.Join(parameters, ", "), results, p.text(function.Body), strings.Join(arguments, ", "))
	return fmt.Sprintf("\nif switchedOnMutation == %q { "+call+" }\n", name, literal)
}
