package pkcs15

import (
	"context"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/runner"
)

func TestModuleLabel(t *testing.T) {
	for _, test := range []struct{ token, pin, want string }{
		{"desk", "User PIN", "desk (User PIN)"},
		{"desk", "", "desk"},
		{"desk", "PIN", "desk"},
		{"a label of thirty-two bytes, full", "User PIN", "a label of thirty-... (User PIN)"},
		{"desk", "a PIN with a label of 26 b", "a PIN with a label of 26 b"},
		{"desk1", "a PIN with a label of 25b", "d... (a PIN with a label of 25b)"},
		{"desk", "a PIN with a label of thirty-three", "a PIN with a label of thirty-..."},
	} {
		if got := moduleLabel(test.token, test.pin); got != test.want {
			t.Errorf("%q, %q: %q, want %q", test.token, test.pin, got, test.want)
		}
	}
}

func TestTokenPIN(t *testing.T) {
	user, sign, so := PIN{ID: "01", Label: "User PIN"}, PIN{ID: "02", Label: "Sign PIN"}, PIN{ID: "03", Label: "SO PIN", SO: true}
	for name, test := range map[string]struct {
		pins []PIN
		key  *PrivateKey
		want string // empty where it is not certain
	}{
		"the only one":       {[]PIN{so, user}, nil, "User PIN"},
		"of the key":         {[]PIN{user, sign}, &PrivateKey{AuthID: "02"}, "Sign PIN"},
		"of no key":          {[]PIN{user, sign}, nil, ""},
		"of an unknown PIN":  {[]PIN{user, sign}, &PrivateKey{AuthID: "07"}, ""},
		"none":               {[]PIN{so}, nil, ""},
		"a directory is cut": {nil, &PrivateKey{AuthID: "01"}, ""},
	} {
		if pin, certain := pinOf(test.pins, test.key); pin.Label != test.want || certain != (test.want != "") {
			t.Errorf("%s: %+v, %v", name, pin, certain)
		}
	}
}

// TestModuleNamesOnlyPIN: OpenSC's module does until 0.26.
func TestModuleNamesOnlyPIN(t *testing.T) {
	for info, want := range map[string]bool{
		"OpenSC 0.21.0 [gcc]": true, "OpenSC 0.23.0 [gcc  12.2.0]": true, "OpenSC 0.25.1 [gcc]": true,
		"OpenSC 0.26.0 [gcc]": false, "OpenSC 0.27.1 [gcc]": false, "OpenSC 1.0.0 [gcc]": false, "": false,
	} {
		c := &Card{tools: Tools{Run: func(context.Context, runner.Program) (runner.Result, error) {
			if info == "" {
				return runner.Result{}, errors.New("no such program")
			}
			return runner.Result{Stdout: []byte(info)}, nil
		}}}
		if got := c.moduleNamesOnlyPIN(t.Context()); got != want {
			t.Errorf("%q: %v", info, got)
		}
	}
}
