//go:build packages

package packages

import (
	"archive/zip"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// unzip takes the file with this base name out of an archive.
func unzip(t *testing.T, archive, base, to string) {
	t.Helper()
	r, err := zip.OpenReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, file := range r.File {
		if path.Base(file.Name) == base {
			write(t, file, to)
			return
		}
	}
	t.Fatalf("%s is not in %s", base, archive)
}

func write(t *testing.T, file *zip.File, to string) {
	t.Helper()
	in, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	data, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, file.Mode()); err != nil {
		t.Fatal(err)
	}
}

// minor is 34 of GLIBC_2.34.
func minor(t *testing.T, version string) int {
	t.Helper()
	part := strings.Split(version, ".")
	if part[0] != "GLIBC_2" || len(part) < 2 {
		t.Fatalf("version %q of glibc", version)
	}
	n, err := strconv.Atoi(part[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
