package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/secret"
)

// TestEveryCommandWithASecretIsTried requires that each command with a flag for a
// secret stands in cardCommands, on which the tests for hostile cards and leaked
// secrets run. smoke-test, setup and openvpn need a module; sim create
// makes the card; agent goes on until it is stopped.
func TestEveryCommandWithASecretIsTried(t *testing.T) {
	var lines []string
	for _, commands := range cardCommands {
		lines = append(lines, commands...)
	}
	everyCommand(newRootCmd(newSession(newEnv())), func(cmd *cobra.Command) {
		if password := string(secret.ChallengePassword); cmd.Flags().Lookup(password) != nil {
			path := strings.TrimPrefix(cmd.CommandPath(), "cardctl ")
			if !slices.ContainsFunc(lines, func(line string) bool {
				return strings.HasPrefix(line, path+" ") && strings.Contains(line, "--"+password)
			}) {
				t.Errorf("cardCommands has no %s --%s", path, password)
			}
		}
		needsSecret := slices.ContainsFunc(secret.Names(), func(name secret.Name) bool { return cmd.Flags().Lookup(string(name)) != nil })
		path := strings.TrimPrefix(cmd.CommandPath(), "cardctl ")
		tried := slices.ContainsFunc(lines, func(line string) bool { return line == path || strings.HasPrefix(line, path+" ") })
		if needsSecret && !tried && !slices.Contains([]string{"smoke-test", "setup", "openvpn", "sim create", "agent"}, path) {
			t.Errorf("cardCommands has no %s", path)
		}
	})
}
