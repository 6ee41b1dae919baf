//go:build packages

package packages

import (
	"debug/elf"
	"debug/pe"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/wine"
)

// platform is a program of the release and what starts it here.
type platform struct {
	name     string // GOOS/GOARCH
	program  string
	launcher []string
	env      []string
	ways     map[string]func(*testing.T, platform) // tests that this platform alone has
}

func (p platform) command(dir string, args ...string) *exec.Cmd {
	argv := slices.Concat(p.launcher, []string{p.program}, args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(cleanEnv(), []string{"HOME=" + dir, "CARDCTL_STATE_DIR=state"}, p.env)
	return cmd
}

// run is what the program writes to stdout; it has to succeed.
func (p platform) run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := p.command(dir, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cardctl %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// cleanEnv is the environment without what would change cardctl's ways.
func cleanEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CARDCTL_") })
}

// fromDeb is the program in the .deb of an architecture.
func fromDeb(t *testing.T, arch string) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "dpkg-deb", "--extract", find(t, "cardctl_*_"+arch+".deb"), dir)
	return filepath.Join(dir, "usr/bin/cardctl")
}

func linuxAMD64(t *testing.T) platform {
	return platform{name: "linux/amd64", program: fromDeb(t, "amd64")}
}

// linuxARM64 runs in an emulator, with the libraries of Debian for arm64.
func linuxARM64(t *testing.T) platform {
	return platform{name: "linux/arm64", program: fromDeb(t, "arm64"), launcher: []string{"qemu-aarch64"}}
}

// alpine is the program of the .apk under the C library of Alpine. The PC/SC
// library here is made for another one, so its place takes one that says that
// no service runs.
func alpine(t *testing.T) platform {
	dir := t.TempDir()
	output(t, "tar", "--warning=no-unknown-keyword", "-xzf", find(t, "cardctl_*_x86_64.apk"), "-C", dir)
	program := filepath.Join(dir, "usr/bin/cardctl")
	source := filepath.Join(dir, "pcsc.c")
	var code strings.Builder
	for _, symbol := range undefined(t, program) {
		if strings.HasPrefix(symbol.Name, "SCard") || strings.HasPrefix(symbol.Name, "pcsc_") {
			code.WriteString("long " + symbol.Name + "(void) { return 0x8010001DL; }\n")
		}
	}
	if err := os.WriteFile(source, []byte(code.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, "x86_64-linux-gnu-gcc", "-shared", "-nostdlib", "-fPIC", "-o", filepath.Join(dir, "libpcsclite.so.1"), source)
	return platform{
		name: "linux/amd64", program: program,
		launcher: []string{"/lib/ld-musl-x86_64.so.1"}, env: []string{"LD_LIBRARY_PATH=" + dir},
	}
}

// windows is the program in the .zip under Wine.
func windows(t *testing.T) platform {
	dir := t.TempDir()
	unzip(t, find(t, "cardctl_*_windows_amd64.zip"), "cardctl.exe", filepath.Join(dir, "cardctl.exe"))
	return platform{
		name: "windows/amd64", program: filepath.Join(dir, "cardctl.exe"), launcher: []string{wine.Launcher},
		env: wine.New(t, dir).Env, ways: windowsWays,
	}
}

// started are the programs of the release, each with what starts it.
var started = map[string]func(*testing.T) platform{
	"deb for amd64":            linuxAMD64,
	"deb for arm64, emulated":  linuxARM64,
	"apk with musl":            alpine,
	"zip for Windows, in Wine": windows,
}

func TestPrograms(t *testing.T) {
	for name, start := range started {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			t.Run("version", func(t *testing.T) { checkVersion(t, p) })
			t.Run("from blank to certificate", func(t *testing.T) { checkWay(t, p) })
			for name, check := range p.ways {
				t.Run(name, func(t *testing.T) { check(t, p) })
			}
		})
	}
}

// checkVersion compares what the program says of itself with what it was made of.
func checkVersion(t *testing.T, p platform) {
	hash, date := commit(t)
	archive := filepath.Base(find(t, "cardctl_*_linux_amd64.tar.gz"))
	want := map[string]any{
		"schema": "cardctl/v1", "kind": "Version", "platform": p.name, "pcsc": true, "pkcs11": true,
		"version": strings.TrimSuffix(strings.TrimPrefix(archive, "cardctl_"), "_linux_amd64.tar.gz"),
		"commit":  hash, "date": date.Format("2006-01-02T15:04:05Z"),
		"goVersion": strings.TrimSpace(output(t, "go", "env", "GOVERSION")),
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(p.run(t, t.TempDir(), "version", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %v, want %v", key, got[key], value)
		}
	}
	text := p.run(t, t.TempDir(), "version")
	for _, part := range []string{want["version"].(string), hash, want["date"].(string)} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// checkWay makes a simulated card, a key and a certificate on it.
func checkWay(t *testing.T, p platform) {
	dir := t.TempDir()
	p.env = append(p.env, "CARDCTL_READER=sim:desk", "CARDCTL_PIN=648219", "CARDCTL_ADMIN_PIN=73915824")
	p.run(t, dir, "sim", "create", "desk")
	p.run(t, dir, "init", "--yes", "--pin", "env:CARDCTL_PIN", "--admin-pin", "env:CARDCTL_ADMIN_PIN")
	p.run(t, dir, "gen-key", "--key", "OPENPGP.3", "--algorithm", "p256")
	p.run(t, dir, "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=Floppy Head", "--self-signed", "--days", "7", "--out", "floppy.pem")
	output(t, "openssl", "x509", "-in", filepath.Join(dir, "floppy.pem"), "-noout", "-checkend", "0")
	p.run(t, dir, "import-cert", "--key", "OPENPGP.3", "floppy.pem")
	var info struct {
		Certificates []struct {
			Subject    string `json:"subject"`
			MatchesKey bool   `json:"matchesKey"`
		} `json:"certificates"`
	}
	if err := json.Unmarshal([]byte(p.run(t, dir, "info", "-o", "json")), &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Certificates) != 1 || !info.Certificates[0].MatchesKey || info.Certificates[0].Subject != "CN=Floppy Head" {
		t.Errorf("certificates: %+v", info.Certificates)
	}
}

// undefined are the symbols that a program wants of its libraries.
func undefined(t *testing.T, program string) []elf.ImportedSymbol {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	symbols, err := file.ImportedSymbols()
	if err != nil {
		t.Fatal(err)
	}
	return symbols
}

// TestPackagesNeedWhatIsLinked keeps the dependencies of the packages true: the
// libraries, and the oldest glibc that has all that is called.
func TestPackagesNeedWhatIsLinked(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			newest := 0
			for _, symbol := range undefined(t, fromDeb(t, arch)) {
				switch {
				case symbol.Library == "" || symbol.Library == "libpcsclite.so.1":
				case symbol.Library == "libc.so.6" || strings.HasPrefix(symbol.Library, "ld-linux-"):
					newest = max(newest, minor(t, symbol.Version))
				default:
					t.Errorf("%s is of %s", symbol.Name, symbol.Library)
				}
			}
			if newest != 34 {
				t.Errorf("wants glibc 2.%d, the packages say 2.34", newest)
			}
		})
	}
	t.Run("windows", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "cardctl.exe")
		unzip(t, find(t, "cardctl_*_windows_amd64.zip"), "cardctl.exe", name)
		file, err := pe.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		symbols, err := file.ImportedSymbols()
		if err != nil {
			t.Fatal(err)
		}
		for _, symbol := range symbols {
			_, library, _ := strings.Cut(symbol, ":")
			if !strings.EqualFold(library, "kernel32.dll") {
				t.Errorf("%s is not part of every Windows", symbol)
			}
		}
	})
}
