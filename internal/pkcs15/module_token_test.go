package pkcs15

import "testing"

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
