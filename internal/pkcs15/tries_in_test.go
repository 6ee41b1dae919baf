package pkcs15

import "testing"

func TestTokenOfAPIN(t *testing.T) {
	for _, test := range []struct {
		token, pin string
		want       bool
	}{
		{"Anna (PIN 1)", "PIN 1", true},
		{"Anna (PIN 12)", "PIN 1", false},
		{"Anna (PIN 1)", "PIN 12", false},
		{"Anna (old) (PIN)", "old", false},
		{"Anna (old) (PIN)", "PIN", true},
		{"Anna of the desk (Signature PI", "Signature PIN", true},
		{"Anna of the desk (Signature PI", "User PIN", false},
		{"Anna", "Anna", false},
	} {
		if got := names(test.token, test.pin); got != test.want {
			t.Errorf("%q has %q: %v", test.token, test.pin, got)
		}
	}
}
