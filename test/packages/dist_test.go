//go:build packages

// Package packages judges the packages that goreleaser built from the last
// commit, in the directory CARDCTL_DIST and once more in CARDCTL_DIST_AGAIN:
// their contents, and whether their programs work. Building both is left to
// scripts/package.sh.
package packages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// megabytes is how large a program may be. SQLite, its C library in Go, and the migrations
// are some eight of them.
const megabytes = 30

// packed are the patterns of all files of a release, the version apart.
var packed = []string{
	"cardctl_*_linux_amd64.tar.gz",
	"cardctl_*_linux_arm64.tar.gz",
	"cardctl_*_windows_amd64.zip",
	"cardctl_*_linux_amd64.cdx.json",
	"cardctl_*_linux_arm64.cdx.json",
	"cardctl_*_windows_amd64.cdx.json",
	"cardctl_*_amd64.deb",
	"cardctl_*_arm64.deb",
	"cardctl-*.x86_64.rpm",
	"cardctl-*.aarch64.rpm",
	"cardctl_*_x86_64.apk",
	"cardctl_*_aarch64.apk",
	"cardctl-*-x86_64.pkg.tar.zst",
	"cardctl-*-aarch64.pkg.tar.zst",
}

// dist is a directory that goreleaser wrote.
func dist(t *testing.T, variable string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		t.Fatalf("%s is not set: run scripts/package.sh", variable)
	}
	return dir
}

// find is the one file of the release with this pattern.
func find(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dist(t, "CARDCTL_DIST"), pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	return found[0]
}

// output runs a program and gives what it wrote to stdout.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// commit is what the release was made of: its hash and time.
func commit(t *testing.T) (hash string, date time.Time) {
	t.Helper()
	hash, iso, _ := strings.Cut(strings.TrimSpace(output(t, "git", "log", "-1", "--format=%H %cI")), " ")
	date, err := time.Parse(time.RFC3339, iso)
	if err != nil {
		t.Fatal(err)
	}
	return hash, date.UTC()
}

// checksums are the names in checksums.txt with what they shall hash to.
func checksums(t *testing.T, dir string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = sum
	}
	return sums
}

func TestChecksumsAreOfEveryFile(t *testing.T) {
	dir := dist(t, "CARDCTL_DIST")
	sums := checksums(t, dir)
	if len(sums) != len(packed) {
		t.Errorf("%d checksums, want %d", len(sums), len(packed))
	}
	for _, pattern := range packed {
		path := find(t, pattern)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if got := sums[filepath.Base(path)]; got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: checksum %q is not its own", filepath.Base(path), got)
		}
	}
}

func TestTheSameCommitGivesTheSameBytes(t *testing.T) {
	first := checksums(t, dist(t, "CARDCTL_DIST"))
	again := checksums(t, dist(t, "CARDCTL_DIST_AGAIN"))
	if len(first) != len(again) {
		t.Errorf("%d files, then %d", len(first), len(again))
	}
	for name, sum := range first {
		if again[name] != sum {
			t.Errorf("%s differs from one build to the other", name)
		}
	}
}

func TestProgramsAreSmall(t *testing.T) {
	programs, err := filepath.Glob(filepath.Join(dist(t, "CARDCTL_DIST"), "cardctl_*_*", "cardctl*"))
	if err != nil || len(programs) != 3 {
		t.Fatalf("%q, %v", programs, err)
	}
	slices.Sort(programs)
	for _, program := range programs {
		info, err := os.Stat(program)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.1f MB", filepath.Base(filepath.Dir(program)), float64(info.Size())/1e6)
		if info.Size() > megabytes*1e6 {
			t.Errorf("%s: %d bytes", program, info.Size())
		}
	}
}
