package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// manDir is where the manual pages are kept for those who package cardctl.
const manDir = "../../man"

//go:generate env CARDCTL_WRITE_DOCS=1 go test -count=1 -run "^(TestTableOfExitCodes|TestTableOfPlanFields|TestManPagesAreThoseOfTheCommands)$" .

// TestManPagesAreThoseOfTheCommands fails where a command's help or a document
// was changed and go generate not run after it.
func TestManPagesAreThoseOfTheCommands(t *testing.T) {
	fresh := map[string]string{}
	everyCommand(newRootCmd(newSession(newEnv())), func(cmd *cobra.Command) { fresh[pageName(cmd)+".1"] = commandPage(cmd) })
	for name, document := range topics {
		text, err := topicPage(name, readFile(t, document))
		if err != nil {
			t.Fatal(err)
		}
		fresh[name+".7"] = text
	}
	kept, err := filepath.Glob(filepath.Join(manDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range kept {
		if fresh[filepath.Base(file)] == "" {
			t.Errorf("%s is of no command: delete it", file)
		}
	}
	for name, text := range fresh {
		checkGenerated(t, filepath.Join(manDir, name), text)
	}
}

// everyCommand visits a command and all that are under it.
func everyCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range shown(cmd) {
		everyCommand(child, visit)
	}
}

// TestTableOfExitCodes keeps the table of docs/exit-codes.md that of the
// program.
func TestTableOfExitCodes(t *testing.T) {
	const document = "../../docs/exit-codes.md"
	rows := []string{"| code | id | meaning | advice |", "|---|---|---|---|", "| 0 | | done | |"}
	for _, m := range meanings() {
		rows = append(rows, fmt.Sprintf("| %d | `%s` | %s | %s |", exitStatus(m.code), m.code, m.when, m.advice))
	}
	text := readFile(t, document)
	before, rest, found := strings.Cut(text, "\n|")
	end := strings.LastIndex(rest, "|\n")
	if !found || end < 0 {
		t.Fatalf("%s has no table", document)
	}
	checkGenerated(t, document, before+"\n"+strings.Join(rows, "\n")+rest[end+1:])
}

// TestExitCodesAreDistinct lets scripts tell the codes apart; two that are about
// the same share one.
func TestExitCodesAreDistinct(t *testing.T) {
	shared := []problem.Code{problem.KeysIncorrect, problem.TriesUnknown, problem.CardChanged}
	seen := map[int]problem.Code{}
	for _, m := range meanings() {
		status := exitStatus(m.code)
		if other, taken := seen[status]; taken && !slices.Contains(shared, m.code) {
			t.Errorf("%s and %s are both %d", other, m.code, status)
		}
		seen[status] = m.code
	}
}

// TestEverySecretIsExplained holds docs/secrets.md, and cardctl-secrets(7) with
// it, to the flags that there are.
func TestEverySecretIsExplained(t *testing.T) {
	text := readFile(t, topics["cardctl-secrets"])
	used := map[secret.Name]bool{}
	everyCommand(newRootCmd(newSession(newEnv())), func(cmd *cobra.Command) {
		for _, name := range secret.Names() {
			used[name] = used[name] || cmd.Flags().Lookup(string(name)) != nil || cmd.PersistentFlags().Lookup(string(name)) != nil
		}
	})
	for _, name := range secret.Names() {
		row := fmt.Sprintf("| `--%s` | `%s` |", name, name.Variable())
		if strings.Contains(text, row) != used[name] {
			t.Errorf("a row %s: %v, a command with this flag: %v", row, !used[name], used[name])
		}
	}
}

// TestEveryCommandHasExamples is about those that a user types; what only groups
// others has them too.
func TestEveryCommandHasExamples(t *testing.T) {
	everyCommand(newRootCmd(newSession(newEnv())), func(cmd *cobra.Command) {
		lines := strings.Split(cmd.Example, "\n")
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, cmd.CommandPath()) }) {
			t.Errorf("no example of %s", cmd.CommandPath())
		}
	})
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkGenerated compares a file with what it should be, having written it where
// that was asked for.
func checkGenerated(t *testing.T, file, want string) {
	t.Helper()
	if os.Getenv("CARDCTL_WRITE_DOCS") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is stale: go generate ./cmd/cardctl", file)
	}
}
