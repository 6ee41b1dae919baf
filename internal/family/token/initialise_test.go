//go:build cgo

package token_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) { os.Exit(softhsm.Main(m)) }

// tokens is a desk with a module, and what is typed for its tokens.
type tokens struct {
	*p11.Module
	desk    *desk.Desk
	typed   map[secret.Name]string
	asked   []secret.Name
	refuses bool // to confirm
	asks    []string
}

func loadTokens(t *testing.T, typed map[secret.Name]string) *tokens {
	t.Helper()
	d := newDesk("softhsm2")
	d.Meant.App = "pkcs11"
	return &tokens{Module: load(t, d), desk: d, typed: typed}
}

func (k *tokens) access() desk.Access {
	return desk.Access{
		Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
			k.asked = append(k.asked, r.Name)
			return secret.New([]byte(k.typed[r.Name])), nil
		},
		Confirm: func(_ context.Context, q desk.Question) error {
			k.asks = append(k.asks, q.Asked().String())
			if k.refuses {
				return problem.New(problem.Refused, "nobody confirmed")
			}
			return nil
		},
		Notify: func(string) {},
	}
}

// at is the desk where a URI names the token.
func (k *tokens) at(uri string) *desk.Desk {
	d := *k.desk
	d.Meant.Token = uri
	return &d
}

func (k *tokens) initialise(t *testing.T, uri string, o cardinit.Options) (cardinit.Report, error) {
	t.Helper()
	return cardinit.Initialise(t.Context(), k.at(uri), k.access(), o)
}

func (k *tokens) setPIN(t *testing.T, uri, role string) error {
	t.Helper()
	_, err := cardinit.SetPIN(t.Context(), k.at(uri), k.access(), role, nil)
	return err
}

func (k *tokens) unblockPIN(t *testing.T, uri, role string, with secret.Name) error {
	t.Helper()
	_, err := cardinit.UnblockPIN(t.Context(), k.at(uri), k.access(), role, []secret.Name{with}, nil)
	return err
}

func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

// logsIn says whether pkcs11-tool logs in with a PIN.
func logsIn(t *testing.T, m *p11.Module, label, pin string, more ...string) bool {
	t.Helper()
	args := append([]string{"--module", m.Path(), "--token-label", label, "--login", "--pin", pin, "--list-objects"}, more...)
	out, err := tool(t, "pkcs11-tool", args...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil && !strings.Contains(out, "CKR_")
}

func removeToken(t *testing.T, label string) {
	t.Cleanup(func() {
		if out, err := tool(t, "softhsm2-util", "--delete-token", "--token", label); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func TestInitialiseTokenAndItsPINs(t *testing.T) {
	k := loadTokens(t, map[secret.Name]string{secret.SOPIN: "87654321", secret.PIN: "canary-1"})
	removeToken(t, "desk")
	report, err := k.initialise(t, "", cardinit.Options{Label: "desk"})
	if err != nil {
		t.Fatal(err)
	}
	if report.Erased || report.Serial == "" || !strings.HasPrefix(report.URI, "pkcs11:token=desk;") || len(report.Lost) != 0 {
		t.Errorf("got %+v", report)
	}
	shown, err := tool(t, "softhsm2-util", "--show-slots")
	if err != nil || !strings.Contains(shown, report.Serial) || !strings.Contains(shown, "desk") {
		t.Errorf("%v: %s", err, shown)
	}
	if !logsIn(t, k.Module, "desk", "canary-1") || logsIn(t, k.Module, "desk", "canary-2") {
		t.Error("the user PIN is not the one that was set")
	}

	const named = "pkcs11:token=desk"
	k.typed = map[secret.Name]string{secret.PIN: "canary-1", secret.NewPIN: "canary-2"}
	if err := k.setPIN(t, named, "user"); err != nil {
		t.Fatal(err)
	}
	if logsIn(t, k.Module, "desk", "canary-1") || !logsIn(t, k.Module, "desk", "canary-2") {
		t.Error("set-pin user did not change the PIN")
	}
	k.typed = map[secret.Name]string{secret.SOPIN: "87654321", secret.NewPIN: "12348765"}
	if err := k.setPIN(t, named, "so"); err != nil {
		t.Fatal(err)
	}
	k.typed = map[secret.Name]string{secret.SOPIN: "12348765", secret.NewPIN: "canary-3"}
	if err := k.unblockPIN(t, named, "user", secret.SOPIN); err != nil {
		t.Fatal(err)
	}
	if logsIn(t, k.Module, "desk", "canary-2") || !logsIn(t, k.Module, "desk", "canary-3") {
		t.Error("unblock-pin did not set the PIN")
	}

	t.Run("again, and everything is lost", func(t *testing.T) {
		out, err := tool(t, "pkcs11-tool", "--module", k.Path(), "--token-label", "desk", "--login", "--pin", "canary-3",
			"--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "vpn")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		k.typed = map[secret.Name]string{secret.SOPIN: "12348765", secret.PIN: "canary-4"}
		k.refuses = true
		if _, err := k.initialise(t, named, cardinit.Options{}); !problem.Is(err, problem.Refused) {
			t.Fatalf("not confirmed: %v", err)
		}
		k.refuses = false
		report, err := k.initialise(t, named, cardinit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !report.Erased || len(report.Lost) != 1 || !strings.Contains(report.Lost[0], "object=vpn (p256, ") {
			t.Errorf("got %+v", report)
		}
		if question := k.asks[len(k.asks)-1]; !strings.Contains(question, `Erase the token "desk"`) || !strings.Contains(question, report.Lost[0]) {
			t.Errorf("asked %q", question)
		}
		if !logsIn(t, k.Module, "desk", "canary-4") {
			t.Error("the user PIN is not the one that was set")
		}
		if out, _ := tool(t, "pkcs11-tool", "--module", k.Path(), "--token-label", "desk", "--list-objects"); strings.Contains(out, "vpn") {
			t.Errorf("the key is still there: %s", out)
		}
	})
}

func TestTokenPINsThatAreRefused(t *testing.T) {
	token := softhsm.New(t, "refused")
	k := loadTokens(t, nil)
	const named = "pkcs11:token=refused"
	initialise := func(o cardinit.Options) func() error {
		return func() error { _, err := k.initialise(t, named, o); return err }
	}
	set := func(role string) func() error { return func() error { return k.setPIN(t, named, role) } }
	unblock := func(role string, with secret.Name) func() error {
		return func() error { return k.unblockPIN(t, named, role, with) }
	}
	const right, wrong = "12345678", "wrong-pin"
	tests := []struct {
		name  string
		work  func() error
		typed map[secret.Name]string
		code  problem.Code
		says  string
	}{
		{"init, wrong SO PIN", initialise(cardinit.Options{}), map[secret.Name]string{secret.SOPIN: wrong, secret.PIN: "123456"}, problem.PINIncorrect, "SO PIN"},
		{"init, short SO PIN", initialise(cardinit.Options{}), map[secret.Name]string{secret.SOPIN: "1", secret.PIN: "123456"}, problem.Usage, "SO PIN"},
		{"init, short PIN", initialise(cardinit.Options{}), map[secret.Name]string{secret.SOPIN: right, secret.PIN: "1"}, problem.Usage, "user PIN"},
		{"init, long label", initialise(cardinit.Options{Label: strings.Repeat("x", 33)}), map[secret.Name]string{secret.SOPIN: right, secret.PIN: "123456"}, problem.Usage, "label"},
		{"init, factory PINs", initialise(cardinit.Options{FactoryPINs: true}), nil, problem.NotSupported, "factory"},
		{"init, another application", func() error {
			d := k.at("")
			d.Meant.App = "gp"
			_, err := cardinit.Initialise(t.Context(), d, k.access(), cardinit.Options{})
			return err
		}, nil, problem.NotSupported, "gp"},
		{"set-pin user, wrong", set("user"), map[secret.Name]string{secret.PIN: wrong, secret.NewPIN: "123456"}, problem.PINIncorrect, "user PIN"},
		{"set-pin user, new one too short", set("user"), map[secret.Name]string{secret.PIN: token.PIN, secret.NewPIN: "1"}, problem.Usage, "short"},
		{"set-pin so, wrong", set("so"), map[secret.Name]string{secret.SOPIN: wrong, secret.NewPIN: "12345678"}, problem.PINIncorrect, "SO PIN"},
		{"set-pin admin", set("admin"), nil, problem.NotSupported, "user, so"},
		{"set-pin puk", set("puk"), nil, problem.NotSupported, "user, so"},
		{"set-pin nonsense", set("nonsense"), nil, problem.Usage, "unknown PIN name"},
		{"unblock-pin, wrong SO PIN", unblock("user", secret.SOPIN), map[secret.Name]string{secret.SOPIN: wrong, secret.NewPIN: "123456"}, problem.PINIncorrect, "SO PIN"},
		{"unblock-pin so", unblock("so", secret.SOPIN), nil, problem.NotSupported, "with the SO PIN"},
		{"unblock-pin with an admin PIN", unblock("user", secret.AdminPIN), nil, problem.NotSupported, "with the SO PIN"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k.typed = test.typed
			err := test.work()
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
			for _, canary := range test.typed {
				if len(canary) > 1 && strings.Contains(err.Error(), canary) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
		})
	}
	if !logsIn(t, k.Module, "refused", token.PIN) {
		t.Error("the token does not work any more")
	}
}

func TestWhichTokenIsInitialised(t *testing.T) {
	softhsm.New(t, "first")
	softhsm.New(t, "second")
	k := loadTokens(t, map[secret.Name]string{secret.SOPIN: "87654321", secret.PIN: "canary-1"})
	tests := []struct {
		name, uri, label, says string
		code                   problem.Code
	}{
		{"a label that another token has", "pkcs11:", "first", "first", problem.Refused},
		{"a new token without a label", "pkcs11:", "", "label", problem.Usage},
		{"no such token", "pkcs11:token=third", "third", "no such token", problem.NotFound},
		{"several", "pkcs11:model=SoftHSM%20v2", "third", "several tokens", problem.NotFound},
		{"an unknown attribute", "pkcs11:colour=red", "third", "colour", problem.Usage},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := k.initialise(t, test.uri, cardinit.Options{Label: test.label})
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if len(k.asked) > 0 || len(k.asks) > 0 {
		t.Errorf("asked for %v, %q", k.asked, k.asks)
	}
	t.Run("an interrupted one is completed", func(t *testing.T) {
		removeToken(t, "half")
		k.typed[secret.PIN] = ""
		blank, err := k.FindToken(t.Context(), p11.URI{})
		if err != nil {
			t.Fatal(err)
		}
		so := secret.New([]byte("87654321"))
		defer so.Wipe()
		half, err := k.InitToken(t.Context(), blank, so, "half", false)
		if err != nil || half.UserPIN.Initialized {
			t.Fatalf("%+v, %v", half, err)
		}
		if _, err := k.InitToken(t.Context(), half, so, "half", false); !problem.Is(err, problem.Refused) {
			t.Errorf("a token in use is erased: %v", err)
		}
		k.typed[secret.PIN] = "canary-1"
		report, err := k.initialise(t, "", cardinit.Options{Label: "half"})
		if err != nil || report.Serial == "" {
			t.Fatalf("%+v, %v", report, err)
		}
		if !logsIn(t, k.Module, "half", "canary-1") {
			t.Error("it has no user PIN")
		}
	})
}
