package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra/doc"
)

// manDir is where the manual pages are kept for those who package cardctl.
const manDir = "../../man"

//go:generate env CARDCTL_WRITE_MAN=1 go test -count=1 -run ^TestManPagesAreThoseOfTheCommands$ .

// TestManPagesAreThoseOfTheCommands fails where a command's help was changed
// and go generate not run after it.
func TestManPagesAreThoseOfTheCommands(t *testing.T) {
	fresh := t.TempDir()
	root := newRootCmd(newEnv())
	root.DisableAutoGenTag = true
	header := &doc.GenManHeader{Section: "1", Source: "cardctl", Manual: "cardctl manual", Date: &time.Time{}}
	if err := doc.GenManTree(root, header, fresh); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(fresh, "*.1"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	kept, err := filepath.Glob(filepath.Join(manDir, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	stale := map[string]bool{}
	for _, page := range kept {
		stale[filepath.Base(page)] = true
	}
	for _, page := range pages {
		name := filepath.Base(page)
		delete(stale, name)
		checkPage(t, page, filepath.Join(manDir, name))
	}
	for name := range stale {
		t.Errorf("man/%s is of no command: delete it", name)
	}
}

func checkPage(t *testing.T, fresh, kept string) {
	t.Helper()
	want, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("CARDCTL_WRITE_MAN") != "" {
		if err := os.WriteFile(kept, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(kept)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is stale: go generate ./cmd/cardctl", kept)
	}
}
