package p11

import "testing"

// The first two are what openvpn 2.6 with pkcs11-helper 1.29 printed.
func TestSerializedID(t *testing.T) {
	for _, test := range []struct {
		label string
		want  string
	}{
		{"desk", `SoftHSM\x20project/SoftHSM\x20v2/14c5fe6d6ddcc21a/desk/45FF00`},
		{`a/b \ c;d=ü&?`, `SoftHSM\x20project/SoftHSM\x20v2/14c5fe6d6ddcc21a/a\x2Fb\x20\x5C\x20c\x3Bd=\xC3\xBC\x26\x3F/45FF00`},
		{"A-z_0.~^", `SoftHSM\x20project/SoftHSM\x20v2/14c5fe6d6ddcc21a/A\x2Dz_0\x2E~^/45FF00`},
	} {
		token := Token{Manufacturer: "SoftHSM project", Model: "SoftHSM v2", Serial: "14c5fe6d6ddcc21a", Label: test.label}
		if got := token.SerializedID([]byte{0x45, 0xFF, 0x00}); got != test.want {
			t.Errorf("%s\nwant %s", got, test.want)
		}
	}
}
