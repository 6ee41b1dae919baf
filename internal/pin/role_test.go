package pin

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/secret"
)

// TestRolesAreAll compares the list of roles with the constants, and requires a
// secret that gives each.
func TestRolesAreAll(t *testing.T) {
	text, err := os.ReadFile("pin.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\t\w+ +Role = "(.+)"$`).FindAllStringSubmatch(string(text), -1)
	if len(found) != len(Roles()) {
		t.Errorf("%d constants, %d roles", len(found), len(Roles()))
	}
	for _, name := range found {
		role := Role(name[1])
		if !slices.Contains(Roles(), role) {
			t.Errorf("Roles has no %s", role)
		}
		given := slices.ContainsFunc(secret.Names(), func(name secret.Name) bool {
			of, ok := RoleOf(name)
			return ok && of == role
		})
		if !given {
			t.Errorf("no secret gives the %s", role.Name())
		}
	}
}
