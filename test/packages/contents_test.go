//go:build packages

package packages

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// packaged is a file in a package.
type packaged struct {
	executable bool
	owner      string // user/group; empty where the format has none
	modified   time.Time
}

// tracked are the files of the last commit below a directory.
func tracked(t *testing.T, dir string) []string {
	t.Helper()
	return strings.Fields(output(t, "git", "-C", "../..", "ls-tree", "--name-only", "HEAD", dir+"/"))
}

// documents are what every package has besides program, manual and completions.
func documents(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "THIRD-PARTY-LICENSES"}
	for _, name := range tracked(t, "docs") {
		if strings.HasSuffix(name, ".md") {
			all = append(all, name)
		}
	}
	return append(all, tracked(t, "docs/pictures")...)
}

// inArchive are the names that an archive shall hold below its directory.
func inArchive(t *testing.T, program string) []string {
	t.Helper()
	names := slices.Concat(documents(t), tracked(t, "man"))
	return append(names, program, "LICENSE",
		"completions/_cardctl", "completions/cardctl.bash", "completions/cardctl.fish", "completions/cardctl.ps1")
}

// scd is the link to the program that gpg-agent starts.
const scd = "usr/lib/cardctl/cardctl-scd"

// onSystem are the paths that a package for Linux shall install.
func onSystem(t *testing.T, zsh, licence string) []string {
	t.Helper()
	names := []string{
		"usr/bin/cardctl",
		scd,
		"usr/lib/systemd/user/cardctl-agent-p11-kit.socket",
		"usr/lib/systemd/user/cardctl-agent.service",
		"usr/lib/systemd/user/cardctl-agent.socket",
		"etc/bash_completion.d/cardctl",
		"usr/share/fish/vendor_completions.d/cardctl.fish",
		"usr/share/zsh/" + zsh + "/_cardctl",
		licence,
	}
	for _, document := range documents(t) {
		names = append(names, "usr/share/doc/cardctl/"+document)
	}
	for _, page := range tracked(t, "man") {
		names = append(names, "usr/share/man/man"+strings.TrimPrefix(path.Ext(page), ".")+"/"+path.Base(page)+".gz")
	}
	return names
}

// compare judges the files of a package, directories apart.
func compare(t *testing.T, got map[string]packaged, want []string) {
	t.Helper()
	_, date := commit(t)
	for _, name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		file := got[name]
		program := name == "usr/bin/cardctl" || name == "cardctl" || name == "cardctl.exe"
		switch {
		case !slices.Contains(want, name):
			t.Errorf("%s should not be there", name)
		case file.executable != program && name != scd: // the mode of a link says nothing
			t.Errorf("%s: executable is %t", name, file.executable)
		case file.owner != "" && file.owner != "root/root" && file.owner != "0/0":
			t.Errorf("%s belongs to %s", name, file.owner)
		case !file.modified.Equal(date):
			t.Errorf("%s is of %v, not of the commit's %v", name, file.modified, date)
		}
	}
}

// untar reads a tar file, what begins with a dot apart: what package managers
// keep there for themselves.
func untar(t *testing.T, r io.Reader) map[string]packaged {
	t.Helper()
	files := map[string]packaged{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(header.Name, "./")
		if header.Typeflag == tar.TypeDir || strings.HasPrefix(name, ".") {
			continue
		}
		owner := "root/root"
		if header.Uid != 0 || header.Gid != 0 {
			owner = header.Uname + "/" + header.Gname
		}
		files[name] = packaged{executable: header.Mode&0o111 != 0, owner: owner, modified: header.ModTime}
		if header.Mode&^0o111 != 0o644 && header.Typeflag != tar.TypeSymlink {
			t.Errorf("%s: mode %o", name, header.Mode)
		}
	}
}

func gunzip(t *testing.T, name string) io.Reader {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	r, err := gzip.NewReader(file) // of all its parts: an .apk has two
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// below takes the directory from the names of an archive that unpacks into one.
func below(t *testing.T, directory string, files map[string]packaged) map[string]packaged {
	t.Helper()
	stripped := map[string]packaged{}
	for name, file := range files {
		rest, ok := strings.CutPrefix(name, directory+"/")
		if !ok {
			t.Errorf("%s is not below %s", name, directory)
		}
		stripped[rest] = file
	}
	return stripped
}

func TestArchives(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run("linux "+arch, func(t *testing.T) {
			archive := find(t, "cardctl_*_linux_"+arch+".tar.gz")
			directory := strings.TrimSuffix(path.Base(archive), ".tar.gz")
			compare(t, below(t, directory, untar(t, gunzip(t, archive))), inArchive(t, "cardctl"))
		})
	}
	t.Run("windows amd64", func(t *testing.T) {
		archive := find(t, "cardctl_*_windows_amd64.zip")
		r, err := zip.OpenReader(archive)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		files := map[string]packaged{}
		for _, f := range r.File {
			if f.Mode().Type() != fs.ModeDir {
				files[f.Name] = packaged{executable: f.Mode()&0o111 != 0, modified: f.Modified}
			}
		}
		compare(t, below(t, strings.TrimSuffix(path.Base(archive), ".zip"), files), inArchive(t, "cardctl.exe"))
	})
}

// lines are the trimmed lines of what a program wrote.
func lines(t *testing.T, name string, args ...string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(output(t, name, args...)) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// field is the values of a line such as "depend = glibc", one a line.
func field(text, key string) []string {
	var values []string
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key); ok {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// formats are the packages for Linux: where their completions for zsh and their
// licence stand, how to look into one, and what one needs and recommends.
var formats = []struct {
	name, pattern     string
	archs             []string
	zsh, licence      string
	files             func(*testing.T, string) map[string]packaged
	needs, recommends func(*testing.T, string) []string
	needed, wished    []string
}{
	{
		name: "deb", pattern: "cardctl_*_%.deb", archs: []string{"amd64", "arm64"},
		zsh: "vendor-completions", licence: "usr/share/doc/cardctl/copyright",
		files: func(t *testing.T, name string) map[string]packaged {
			return untar(t, strings.NewReader(output(t, "dpkg-deb", "--fsys-tarfile", name)))
		},
		needs: func(t *testing.T, name string) []string {
			return strings.Split(strings.TrimSpace(output(t, "dpkg-deb", "--field", name, "Depends")), ", ")
		},
		recommends: func(t *testing.T, name string) []string {
			return strings.Split(strings.TrimSpace(output(t, "dpkg-deb", "--field", name, "Recommends")), ", ")
		},
		needed: []string{"libc6 (>= 2.34)", "libpcsclite1"}, wished: []string{"pcscd", "opensc"},
	},
	{
		name: "rpm", pattern: "cardctl-*.%.rpm", archs: []string{"x86_64", "aarch64"},
		zsh: "site-functions", licence: "usr/share/licenses/cardctl/LICENSE",
		files: rpmFiles,
		needs: func(t *testing.T, name string) []string {
			return lines(t, "rpm", "-qp", "--nosignature", "--requires", name)
		},
		recommends: func(t *testing.T, name string) []string {
			return lines(t, "rpm", "-qp", "--nosignature", "--recommends", name)
		},
		needed: []string{"libc.so.6(GLIBC_2.34)(64bit)", "libpcsclite.so.1()(64bit)"}, wished: []string{"pcsc-lite", "opensc"},
	},
	{
		name: "apk", pattern: "cardctl_*_%.apk", archs: []string{"x86_64", "aarch64"},
		zsh: "site-functions", licence: "usr/share/licenses/cardctl/LICENSE",
		files: func(t *testing.T, name string) map[string]packaged { return untar(t, gunzip(t, name)) },
		needs: func(t *testing.T, name string) []string {
			return field(output(t, "tar", "--warning=no-unknown-keyword", "-xzOf", name, ".PKGINFO"), "depend = ")
		},
		needed: []string{"gcompat", "pcsc-lite-libs"},
	},
	{
		name: "archlinux", pattern: "cardctl-*-%.pkg.tar.zst", archs: []string{"x86_64", "aarch64"},
		zsh: "site-functions", licence: "usr/share/licenses/cardctl/LICENSE",
		files: func(t *testing.T, name string) map[string]packaged {
			return untar(t, strings.NewReader(output(t, "zstd", "-dcq", name)))
		},
		needs: func(t *testing.T, name string) []string {
			return field(output(t, "tar", "-xOf", name, ".PKGINFO"), "depend = ")
		},
		needed: []string{"glibc", "pcsclite"},
	},
}

func rpmFiles(t *testing.T, name string) map[string]packaged {
	t.Helper()
	files := map[string]packaged{}
	query := `[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILEMTIMES} %{FILENAMES}\n]`
	for _, line := range lines(t, "rpm", "-qp", "--nosignature", "--queryformat", query, name) {
		part := strings.Fields(line)
		if strings.HasPrefix(part[0], "d") {
			continue
		}
		seconds, err := time.ParseDuration(part[2] + "s")
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(part[3], "/")] = packaged{
			executable: strings.Contains(part[0], "x"), owner: part[1], modified: time.Unix(0, 0).Add(seconds),
		}
	}
	return files
}

func TestPackages(t *testing.T) {
	for _, format := range formats {
		for _, arch := range format.archs {
			t.Run(format.name+" "+arch, func(t *testing.T) {
				name := find(t, strings.ReplaceAll(format.pattern, "%", arch))
				compare(t, format.files(t, name), onSystem(t, format.zsh, format.licence))
				if got := format.needs(t, name); !slices.Equal(got, format.needed) {
					t.Errorf("needs %q, want %q", got, format.needed)
				}
				if format.recommends == nil {
					return
				}
				if got := format.recommends(t, name); !slices.Equal(got, format.wished) {
					t.Errorf("recommends %q, want %q", got, format.wished)
				}
			})
		}
	}
}
