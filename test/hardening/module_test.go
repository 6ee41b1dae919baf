//go:build cgo && linux && !stack

package hardening

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// mostMemory is what no hostile module may make of the program, in bytes.
const mostMemory = 64 << 20

// longest is what the program may take, with a call that hangs too.
const longest = 20 * time.Second

// misdeeds are what every function of a module can do. Those that fell take
// the process with them, which has to say so.
var misdeeds = []struct {
	deed  string
	fells bool
}{
	{"crash", true}, {"abort", true}, {"exit", true}, {"_exit", true}, {"recurse", true}, {"null", true},
	{"hang", false}, {"refuse", false}, {"unheard", false}, {"nothing", false},
}

// uses are functions of PKCS#11, by the command that calls them, with what some
// can do beyond the misdeeds of all.
var uses = []struct {
	command   string
	functions string
	more      []string
}{
	{
		"list-tokens",
		"C_GetFunctionList C_Initialize C_Finalize C_GetInfo C_GetSlotList C_GetSlotInfo C_GetTokenInfo C_GetMechanismList",
		[]string{
			"C_GetSlotList:many-slots", "C_GetSlotList:more-slots", "C_GetMechanismList:many-mechanisms", "C_GetMechanismList:more-mechanisms",
			"C_GetInfo:garbage-info", "C_GetSlotInfo:garbage-slot", "C_GetTokenInfo:garbage-token",
		},
	},
	{
		"smoke-test -k pkcs11:token=hostile;object=vpn --pin env:TOKEN_PIN",
		"C_GetMechanismInfo C_OpenSession C_CloseSession C_Login C_Logout C_FindObjectsInit C_FindObjects C_FindObjectsFinal C_GetAttributeValue C_SignInit C_Sign",
		[]string{
			"C_FindObjects:many-objects", "C_FindObjects:endless-objects", "C_GetAttributeValue:long-attributes", "C_GetAttributeValue:large-attributes",
			"C_Sign:long-answer",
		},
	},
	{"gen-key -k pkcs11:token=hostile;object=new --pin env:TOKEN_PIN", "C_GenerateKeyPair", []string{"C_FindObjects:endless-objects"}},
	{"import-cert -k pkcs11:token=hostile;object=vpn --pin env:TOKEN_PIN --yes vpn.pem", "C_CreateObject", nil},
	{"set-pin user --app pkcs11 --token hostile --pin env:TOKEN_PIN --new-pin env:TOKEN_PIN", "C_SetPIN", nil},
	{"init --app pkcs11 --yes --label other --so-pin env:TOKEN_PIN --pin env:TOKEN_PIN", "C_InitToken C_InitPIN", []string{"C_GetSlotList:many-slots"}},
}

// TestHostileModule lets every function that is called of a module crash, exit,
// hang, refuse, lie or give more than there is memory. The program ends by itself
// in its own words.
func TestHostileModule(t *testing.T) {
	d := hostileDesk(t)
	for _, use := range uses {
		words := strings.Fields(use.command)
		t.Run(words[0], func(t *testing.T) {
			if words[0] == "list-tokens" || words[0] == "smoke-test" {
				t.Parallel() // SoftHSM2 fails now and then where another program writes to the token
			}
			for function := range strings.FieldsSeq(use.functions) {
				for _, m := range misdeeds {
					d.suffer(t, words, function+":"+m.deed, m.fells && !harmless(function, m.deed))
				}
			}
			for _, order := range use.more {
				d.suffer(t, words, order, false)
			}
		})
	}
}

// TestSignatureThatIsNone has a module that gives a signature with a bit changed:
// a smoke test exists to notice that.
func TestSignatureThatIsNone(t *testing.T) {
	d := hostileDesk(t)
	for order, want := range map[string]int{"": 0, "C_Sign:nearly": 8, "C_Sign:nothing": 8} {
		d.Setenv("HOSTILE", order)
		r := d.Try("cardctl", "smoke-test", "-k", "pkcs11:token=hostile;object=vpn", "--pin", "env:TOKEN_PIN")
		if r.Exit != want {
			t.Errorf("%q: %v", order, r)
		}
	}
}

// harmless is what brings nobody down: without C_GetFunctionList's answer there
// is nothing to call.
func harmless(function, deed string) bool { return function == "C_GetFunctionList" && deed == "null" }

// moduleDesk is a desk with a token behind a module that does as it is told.
type moduleDesk struct {
	*stack.Desk
	pin string
}

func hostileDesk(t *testing.T) moduleDesk {
	d := stack.NewDesk(t)
	token := softhsm.New(t, "hostile")
	token.Generate(t, "EC:prime256v1", 0x45, "vpn")
	ca := softhsm.NewCA(t, "Snake Oil CA")
	public, err := x509.ParsePKIXPublicKey(derOf(t, d.Run("cardctl", "export-key", "-k", "pkcs11:token=hostile;object=vpn", "-m", token.Module)))
	if err != nil {
		t.Fatal(err)
	}
	d.Write("vpn.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Issue(t, public, nil).Raw})), 0o600)
	module := d.Path("hostile.so")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", module, "testdata/hostile.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	d.Setenv("HOSTILE_MODULE", token.Module)
	d.Setenv("TOKEN_PIN", token.PIN)
	d.Setenv("CARDCTL_MODULE", module)
	return moduleDesk{d, token.PIN}
}

func derOf(t *testing.T, text string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no PEM in %q", text)
	}
	return block.Bytes
}

// goSpeaking is what Go says itself when a program falls.
var goSpeaking = regexp.MustCompile(`goroutine \d|panic:|fatal error|SIG[A-Z]+:|runtime error`)

// suffer runs a command with a module that does one thing wrong.
func (d moduleDesk) suffer(t *testing.T, words []string, order string, fells bool) {
	t.Helper()
	start, timeout := time.Now(), longest/2
	if strings.HasSuffix(order, ":hang") {
		timeout = time.Second / 2
	}
	command := slices.Concat([]string{"HOSTILE=" + order, "cardctl"}, words, []string{"--timeout", timeout.String()})
	r, usage := d.TryMeasured("env", command...)
	took := time.Since(start)
	text := r.Stdout + r.Stderr
	switch {
	case r.Exit < 0 || r.Exit > 10 || r.Exit == 2:
		t.Errorf("%s: exit status %d\n%s", order, r.Exit, text)
	case r.Exit != 0 && !strings.Contains(r.Stderr, "\nTry: "):
		t.Errorf("%s: no help\n%s", order, text)
	case fells && (r.Exit != 1 || !strings.Contains(r.Stderr, "hostile.so crashed\n")):
		t.Errorf("%s: exit status %d, and not that it crashed\n%s", order, r.Exit, text)
	case goSpeaking.MatchString(text) || strings.Contains(text, "\x1b"):
		t.Errorf("%s: %q", order, text)
	}
	if strings.Contains(text, d.pin) {
		t.Errorf("%s: the PIN is in the output", order)
	}
	if usage.PeakMemory > mostMemory {
		t.Errorf("%s: %d MB", order, usage.PeakMemory>>20)
	}
	if took > longest {
		t.Errorf("%s: took %v", order, took)
	}
	if left, err := os.ReadDir(d.Path("state")); err == nil && len(left) > 1 {
		t.Errorf("%s: left %v", order, left)
	}
}

// TestNoisyModule has a module that writes to standard output, from a thread of its
// own, and changes the working directory and the umask: results are as without it.
func TestNoisyModule(t *testing.T) {
	d := hostileDesk(t)
	d.Setenv("HOSTILE_NOISE", "1")
	made := d.Run("cardctl", "gen-csr", "-k", "pkcs11:token=hostile;object=vpn", "--subject", "CN=me", "--pin", "env:TOKEN_PIN")
	if !strings.HasPrefix(made, "-----BEGIN CERTIFICATE REQUEST-----\n") || !strings.HasSuffix(made, "-----END CERTIFICATE REQUEST-----\n") || strings.Contains(made, "noise") {
		t.Errorf("%s", made)
	}
	d.Run("cardctl", "gen-csr", "-k", "pkcs11:token=hostile;object=vpn", "--subject", "CN=me", "--pin", "env:TOKEN_PIN", "--out", "me.csr")
	info, err := os.Stat(d.Path("me.csr"))
	if err != nil || info.Mode().Perm()&0o022 != 0 {
		t.Errorf("not written as without the module: %v, %v", info, err)
	}
}
