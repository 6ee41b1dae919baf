//go:build stack

// Package programs shows that programs use a card: browsers, servers and others, as
// Debian has them, with simulated cards through the PC/SC daemon. What cardctl writes
// for GnuPG, OpenSC and OpenSSL is judged in test/judges.
package programs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }

// keepPicture writes a picture of a program, as PNG, to the directory CARDCTL_PICTURES,
// or to where go test -artifacts keeps files.
func keepPicture(t *testing.T, picture []byte, words ...string) {
	t.Helper()
	directory := os.Getenv("CARDCTL_PICTURES")
	if directory == "" {
		directory = t.ArtifactDir()
	}
	name := strings.ToLower(strings.NewReplacer(" ", "-", "/", "-").Replace(strings.Join(words, "-"))) + ".png"
	if err := os.WriteFile(filepath.Join(directory, name), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}
