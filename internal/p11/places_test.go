package p11

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// tree makes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "ROOT", root)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLocate(t *testing.T) {
	root := tree(t, map[string]string{
		"user/mine.module":               "module: ROOT/opt/mine.so\n",
		"user/opensc.module":             "# no more than a setting\npriority: 5\n",
		"user/off.module":                "module:\n",
		"etc/opensc.module":              "  module :  ROOT/opt/opensc.so  \ncritical: yes\n",
		"etc/mine.module":                "module: ROOT/opt/not-mine.so\n",
		"share/relative.module":          "module: relative.so\n",
		"share/off.module":               "module: ROOT/opt/off.so\n",
		"share/remote.module":            "remote: |ssh host p11-kit remote /x.so\n",
		"share/gone.module":              "module: ROOT/opt/gone.so\n",
		"share/readme.txt":               "module: ROOT/opt/mine.so\n",
		"opt/mine.so":                    "x",
		"opt/not-mine.so":                "x",
		"opt/opensc.so":                  "x",
		"opt/off.so":                     "x",
		"lib/pkcs11/relative.so":         "x",
		"lib/softhsm/libsofthsm2.so":     "x",
		"lib64/libsofthsm2.so":           "x",
		"lib64/opensc-pkcs11.so":         "x",
		"lib64/libykcs11.so.2":           "x",
		"lib64/pkcs11/libtpm2_pkcs11.so": "x",
	})
	p := Places{
		Configs:   []string{filepath.Join(root, "user"), filepath.Join(root, "etc"), filepath.Join(root, "share"), filepath.Join(root, "absent")},
		Libraries: []string{filepath.Join(root, "lib"), filepath.Join(root, "lib64")},
	}
	tests := map[string]string{
		"mine":                             "opt/mine.so", // the user's file comes first
		"opensc":                           "opt/opensc.so",
		"relative":                         "lib/pkcs11/relative.so",
		"softhsm2":                         "lib/softhsm/libsofthsm2.so",
		"ykcs11":                           "lib64/libykcs11.so.2",
		"tpm2":                             "lib64/pkcs11/libtpm2_pkcs11.so",
		"opensc-pkcs11.so":                 "lib64/opensc-pkcs11.so",
		filepath.Join(root, "opt/mine.so"): "opt/mine.so",
	}
	for name, want := range tests {
		got, err := p.Locate(name)
		if err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for name, says := range map[string]string{
		"scute":                     filepath.Join(root, "lib/scute/scute.so"),
		"gone":                      filepath.Join(root, "opt/gone.so"),
		"off":                       "tpm2, gone, mine, relative",
		"remote":                    "gone, mine, relative",
		"nonsense":                  "Known names: opensc, softhsm2, scute, ykcs11, tpm2",
		filepath.Join(root, "x.so"): "No file has this path",
	} {
		if _, err := p.Locate(name); !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q in it", name, err, says)
		}
	}
	if _, err := p.Locate(""); !problem.Is(err, problem.Usage) {
		t.Errorf("no name: %v", err)
	}
	var names []string
	for _, i := range p.Installed() {
		names = append(names, i.Name)
	}
	if want := []string{"opensc", "softhsm2", "ykcs11", "tpm2", "mine", "relative"}; !slices.Equal(names, want) {
		t.Errorf("installed: got %q, want %q", names, want)
	}
	if want := []string{"gone"}; !slices.Equal(p.Missing(), want) {
		t.Errorf("missing: got %q, want %q", p.Missing(), want)
	}
}

func TestLocateInTheWorkingDirectory(t *testing.T) {
	root := tree(t, map[string]string{"module.so": "x", "plain": "x"})
	t.Chdir(root)
	for _, name := range []string{"./module.so", "./plain"} {
		if got, err := (Places{}).Locate(name); err != nil || filepath.Base(got) != filepath.Base(name) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"plain", "module.so"} {
		if _, err := (Places{}).Locate(name); !problem.Is(err, problem.NotFound) {
			t.Errorf("%s: a name without a path is not a file: %v", name, err)
		}
	}
}

func TestUserConfigOfDefaultPlaces(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", "/xdg")
	if got := DefaultPlaces().Configs[0]; got != "/xdg/pkcs11/modules" {
		t.Errorf("got %s", got)
	}
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", "/home/floppy")
	if got := DefaultPlaces().Configs[0]; got != "/home/floppy/.config/pkcs11/modules" {
		t.Errorf("got %s", got)
	}
}

func FuzzReadModuleFile(f *testing.F) {
	f.Add("module: a.so\n# x\nmanaged: no")
	f.Add("module:\n\x00module")
	f.Fuzz(func(t *testing.T, s string) {
		module, says := readModuleFile(strings.NewReader(s))
		if module != strings.TrimSpace(module) || module != "" && !says || strings.Contains(module, "\n") {
			t.Errorf("got %q, %v", module, says)
		}
	})
}
