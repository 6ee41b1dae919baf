// Package cardctl_test checks the repository as a whole: which package may import
// which package and library, where families are named, and that dependencies, the
// Makefile and CONTRIBUTING.md are true. What the program does is left to the tests
// of the packages.
package cardctl_test

import (
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cardctl/cardctl/"

// The leaves that every package may import.
var leaves = []string{
	"internal/problem", "internal/secret", "internal/pubkey", "internal/input", "internal/output", "internal/terminal", "internal/pkcs12",
	"internal/runner", "internal/advice", "internal/ber", "internal/curve", "internal/cert", "internal/chain",
	"internal/packaging", "internal/tlskey", "internal/pbe", "internal/cmp", "internal/cms", "internal/scep", "internal/typed", "internal/release", "internal/opensslconf", "internal/marionette",
	"internal/spelling", "internal/spreadsheet",
}

// What the layers share: a command may import workflows and the desk, a workflow the
// packages for keys and cards of any family, a family the contract that it fulfils.
var (
	workflows = []string{
		"internal/init", "internal/keygen", "internal/csr", "internal/certstore", "internal/smoke", "internal/applet",
		"internal/inventory", "internal/doctor", "internal/simulate", "internal/attest", "internal/holder", "internal/setup", "internal/openvpn",
		"internal/ca", "internal/enroll", "internal/plan", "internal/provision", "internal/record",
	}
	anyCard  = []string{"internal/desk", "internal/family", "internal/card", "internal/key", "internal/pin", "internal/iso7816"}
	contract = []string{"internal/desk", "internal/card", "internal/key", "internal/pin", "internal/iso7816"}
)

// layers lists what a package may import of this module in addition to the leaves, in
// the order of the data flow: command, workflow, family, card application, transport,
// leaf. A package that is not in the table fails, so that a new one is a decision.
var layers = map[string][]string{
	"cmd/cardctl": append(slices.Clone(workflows), "internal/desk", "internal/ledger", "internal/paper", "internal/agent", "internal/agent/client", "internal/agent/service"),

	"internal/init":      anyCard,
	"internal/keygen":    anyCard,
	"internal/csr":       anyCard,
	"internal/certstore": anyCard,
	"internal/attest":    anyCard,
	"internal/holder":    anyCard,
	"internal/inventory": append(slices.Clone(anyCard), "internal/p11", "internal/lend"),
	"internal/smoke":     append(slices.Clone(anyCard), "internal/p11", "internal/lend"),
	"internal/setup":     append(slices.Clone(anyCard), "internal/p11", "internal/smoke", "internal/openvpn", "internal/lend", "internal/marionette"),
	"internal/openvpn":   append(slices.Clone(anyCard), "internal/p11", "internal/lend"),
	"internal/doctor":    append(slices.Clone(anyCard), "internal/p11", "internal/pcsc", "internal/gnupg"),
	"internal/ca":        append(slices.Clone(anyCard), "internal/csr", "internal/keygen", "internal/database"),
	"internal/enroll":    append(slices.Clone(anyCard), "internal/ca", "internal/csr", "internal/certstore", "internal/keygen", "internal/attest", "internal/jose"),
	"internal/applet":    append(slices.Clone(anyCard), "internal/gp", "internal/family/javacard"),
	"internal/record":    append(slices.Clone(anyCard), "internal/ledger"),
	"internal/simulate":  {"internal/desk", "internal/cardsim", "internal/gp", "internal/iso7816"},

	"internal/provision": append(slices.Clone(anyCard), "internal/plan", "internal/ledger", "internal/enroll", "internal/ca", "internal/init",
		"internal/keygen", "internal/certstore", "internal/csr", "internal/smoke", "internal/applet", "internal/record", "internal/holder", "internal/lend", "internal/pcsc"),
	"internal/plan": {"internal/csr", "internal/key"},

	"internal/lend": append(slices.Clone(anyCard), "internal/p11"),

	"internal/agent":          append(slices.Clone(anyCard), "internal/p11", "internal/pcsc"),
	"internal/agent/client":   {},
	"internal/agent/p11kit":   {"internal/agent"},
	"internal/agent/scdaemon": {"internal/agent", "internal/key"},
	"internal/agent/sshagent": {"internal/agent"},
	"internal/agent/service":  {"internal/desk", "internal/pcsc", "internal/iso7816", "internal/agent", "internal/agent/client", "internal/agent/p11kit", "internal/agent/scdaemon", "internal/agent/sshagent"},

	"internal/family": append(slices.Clone(contract), "internal/p11",
		"internal/family/openpgp", "internal/family/piv", "internal/family/pkcs15", "internal/family/javacard", "internal/family/token"),
	"internal/family/openpgp":  append(slices.Clone(contract), "internal/openpgp"),
	"internal/family/piv":      append(slices.Clone(contract), "internal/piv"),
	"internal/family/pkcs15":   append(slices.Clone(contract), "internal/pkcs15"),
	"internal/family/javacard": append(slices.Clone(contract), "internal/gp"),
	"internal/family/token":    append(slices.Clone(contract), "internal/p11", "internal/pkcs15"), // pkcs15: the tries that OpenSC's module does not report

	"internal/card": {"internal/desk", "internal/key", "internal/pin", "internal/iso7816"},
	"internal/key":  {"internal/pin", "internal/iso7816"},
	"internal/pin":  {"internal/iso7816"},
	"internal/desk": {"internal/pcsc", "internal/cardsim", "internal/p11", "internal/iso7816", "internal/pin"},

	"internal/openpgp": {"internal/iso7816"},
	"internal/piv":     {"internal/iso7816"},
	"internal/gp":      {"internal/iso7816"},
	"internal/p11":     {},
	"internal/pkcs15":  {"internal/iso7816"}, // what OpenSC does not report or do

	"internal/pcsc":    {"internal/iso7816", "internal/gnupg"}, // who holds a card
	"internal/cardsim": {"internal/iso7816"},
	"internal/iso7816": {},

	"internal/ber":         {},
	"internal/curve":       {},
	"internal/cert":        {},
	"internal/database":    {},
	"internal/ledger":      {"internal/database"},
	"internal/paper":       {"internal/ledger"},
	"internal/chain":       {},
	"internal/cmp":         {},
	"internal/cms":         {},
	"internal/scep":        {},
	"internal/jose":        {},
	"internal/packaging":   {},
	"internal/tlskey":      {},
	"internal/pbe":         {},
	"internal/gnupg":       {},
	"internal/opensslconf": {},
	"internal/pkcs12":      {},
	"internal/secret":      {},
	"internal/problem":     {},
	"internal/advice":      {},
	"internal/pubkey":      {},
	"internal/input":       {},
	"internal/runner":      {},
	"internal/output":      {},
	"internal/terminal":    {},
	"internal/typed":       {},
	"internal/spelling":    {},
	"internal/spreadsheet": {},
	"internal/marionette":  {},
	"internal/release":     {},
}

// libraries lists which packages may import a library that is not part of the standard
// library, tests excepted.
var libraries = map[string][]string{
	"github.com/spf13/cobra":          {"cmd/cardctl", "internal/typed"},
	"github.com/spf13/pflag":          {"cmd/cardctl", "internal/typed"},
	"github.com/ebfe/scard":           {"internal/pcsc", "test/windows"}, // test/windows: stands in for the service of Windows
	"github.com/miekg/pkcs11":         {"internal/p11"},
	"github.com/manifoldco/promptui":  {"internal/terminal"},
	"github.com/goccy/go-yaml":        {"internal/ca", "internal/plan"},
	"github.com/go-jose/go-jose/v4":   {"internal/jose"},
	"github.com/fxamacker/cbor/v2":    {"internal/enroll"},
	"github.com/pressly/goose/v3":     {"internal/database"},
	"modernc.org/sqlite":              {"internal/database"},
	"github.com/jackc/pgx/v5":         {"internal/database"},
	"filippo.io/age":                  {"internal/ledger"},
	"golang.org/x/crypto":             {"internal/agent/sshagent", "internal/ca", "internal/cert", "internal/csr", "internal/certstore", "internal/cmp", "internal/cms", "internal/keygen", "internal/pbe", "internal/scep", "internal/setup"},
	"golang.org/x/sys":                {"internal/openvpn", "internal/output", "internal/p11", "internal/pcsc", "internal/secret"},
	"golang.org/x/term":               {"internal/terminal"},
	"github.com/smallstep/pkcs7":      {"internal/setup"},
	"github.com/ProtonMail/go-crypto": {"internal/curve"},
	"github.com/cloudflare/circl":     {"internal/curve"},
}

// exclusive libraries may not be imported by the tests of another package either: they
// are used through the package that owns them.
var exclusive = []string{"github.com/ebfe/scard", "github.com/miekg/pkcs11", "github.com/manifoldco/promptui"}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func (p listed) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func (p listed) all() []string { return slices.Concat(p.Imports, p.TestImports, p.XTestImports) }

// builds are the ways this module is built; each has files of its own.
var builds = map[string]struct{ env, tags string }{
	"cgo":         {env: "CGO_ENABLED=1"},
	"without cgo": {env: "CGO_ENABLED=0"},
	"stack tests": {env: "CGO_ENABLED=1", tags: "stack,packages"},
}

func list(t *testing.T, env, tags string) []listed {
	t.Helper()
	return decode[listed](t, []string{env}, "list", "-json=ImportPath,Imports,TestImports,XTestImports", "-tags", tags, "./...")
}

func TestLayers(t *testing.T) {
	for name, build := range builds {
		t.Run(name, func(t *testing.T) {
			for _, p := range list(t, build.env, build.tags) {
				checkLayer(t, p)
				checkLibraries(t, p)
			}
		})
	}
}

func checkLayer(t *testing.T, p listed) {
	for _, path := range p.all() {
		if strings.HasPrefix(path, module+"cmd/") && path != p.ImportPath {
			t.Errorf("%s imports the command %s", p.name(), path)
		}
	}
	if p.name() == strings.TrimSuffix(module, "/") || strings.HasPrefix(p.name(), "test/") {
		return // tests alone
	}
	allowed, ok := layers[p.name()]
	if !ok {
		t.Errorf("%s is not in the table", p.name())
		return
	}
	for _, path := range p.Imports {
		imported, ours := strings.CutPrefix(path, module)
		if ours && !slices.Contains(allowed, imported) && !slices.Contains(leaves, imported) {
			t.Errorf("%s may not import %s", p.name(), imported)
		}
	}
}

func checkLibraries(t *testing.T, p listed) {
	for _, path := range p.all() {
		for _, library := range exclusive {
			if within(path, library) && !slices.Contains(libraries[library], p.name()) {
				t.Errorf("%s may not import %s", p.name(), path)
			}
		}
	}
	for _, path := range p.Imports {
		if !strings.Contains(strings.Split(path, "/")[0], ".") || strings.HasPrefix(path, module) {
			continue // the standard library, or ours
		}
		if strings.HasPrefix(p.name(), "test/") {
			continue
		}
		if !mayImport(p.name(), path) {
			t.Errorf("%s may not import %s", p.name(), path)
		}
	}
}

func mayImport(name, path string) bool {
	for library, importers := range libraries {
		if within(path, library) && slices.Contains(importers, name) {
			return true
		}
	}
	return false
}

// within reports whether an import path is a library or a package below it.
func within(path, library string) bool {
	return path == library || strings.HasPrefix(path, library+"/")
}
