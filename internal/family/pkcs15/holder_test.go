package pkcs15

import (
	"testing"

	app "github.com/cardctl/cardctl/internal/pkcs15"
)

// A module makes a token of each user PIN, and of no other.
func TestUserPINsThatBecomeTokens(t *testing.T) {
	user, officer, unblocking := app.PIN{}, app.PIN{SO: true}, app.PIN{Unblocking: true}
	for _, test := range []struct {
		pins []app.PIN
		want int
	}{
		{nil, 0}, {[]app.PIN{officer}, 0}, {[]app.PIN{user, officer, unblocking}, 1}, {[]app.PIN{user, officer, user}, 2},
	} {
		if got := (&app.Directory{PINs: test.pins}).UserPINs(); got != test.want {
			t.Errorf("%+v: %d", test.pins, got)
		}
	}
}
