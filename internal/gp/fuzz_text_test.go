package gp

import (
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/secret"
)

// FuzzParseKeySet reads card keys as they are written. An error says nothing of
// what stood there.
func FuzzParseKeySet(f *testing.F) {
	const one = "404142434445464748494A4B4C4D4E4F"
	for _, seed := range []string{one, one + ":" + one + ":" + one, one + one, " " + one + "\n", one + ":", "4041", "xyzxyzxyz", "::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParseKeySet(secret.New([]byte(text)))
		if err != nil {
			if !errors.Is(err, ErrKeyFormat) {
				t.Errorf("%q: %v", text, err)
			}
			if part := strings.TrimSpace(text); len(part) > 8 && strings.Contains(err.Error(), part) {
				t.Errorf("%q is in the error: %v", text, err)
			}
			return
		}
		if n := set.Length(); n != 16 && n != 24 && n != 32 || !set.Equal(set) {
			t.Errorf("%q: keys of %d bytes", text, n)
		}
	})
}

// FuzzCardData reads what a card says of itself: card recognition data and
// production life cycle.
func FuzzCardData(f *testing.F) {
	seed(f,
		"734906072A864886FC6B01600C060A2A864886FC6B02020201630906072A864886FC6B03640B06092A864886FC6B040215650B06092B8510864864020103660C060A2B060104012A026E0102",
		"4790D13147001150000081120000BB23444500310000000000000000000000000000000000000000000000000000000000",
		"60", "600206", "6402060000")
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRecognition(b); err == nil && len(r.Protocols)*13 > len(b) {
			t.Errorf("%X: %+v", b, r)
		}
		if c, err := ParseCPLC(b); err == nil && (len(c.Fields()) != 18 || len(c.Serial()) != 16) {
			t.Errorf("%X: %+v", b, c.Fields())
		}
		if p, err := parsePrivileges(b); err == nil && len(b) == 0 && p != 0 {
			t.Errorf("no bytes are the privileges %v", p)
		}
	})
}

// FuzzNames reads AIDs, security levels, privileges and methods of
// diversification as people write them.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"A0000000031010", "A0:00:00:00:03", "c-mac,r-mac", "c-decryption", "card-lock", "cm-lock,card-reset", "visa2", "emv", ",", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if aid, err := ParseAID(text); err == nil && (len(aid) < 5 || len(aid) > 16) {
			t.Errorf("%q is the AID %X", text, []byte(aid))
		}
		_, _ = ParseLevel(text)
		_, _ = ParsePrivileges(text)
		_, _ = ParseDiversification(text)
	})
}
