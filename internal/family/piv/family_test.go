package piv

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestParse(t *testing.T) {
	for typed, want := range map[string]string{
		"PIV.9A": "PIV.9A", "piv.9c": "PIV.9C", "Piv.9d": "PIV.9D", "PIV.9E": "PIV.9E", "piv.f9": "PIV.F9",
		"PIV.82": "PIV.82", "piv.8f": "PIV.8F", "PIV.95": "PIV.95",
	} {
		if ref, ours, err := parse(typed); err != nil || !ours || ref.String() != want || ref.Family != "PIV" {
			t.Errorf("%s: %v %v %v", typed, ref, ours, err)
		}
	}
	for _, typed := range []string{"PIV.", "PIV.81", "PIV.96", "PIV.9B", "PIV.9AA", "PIV.082", "PIV.+9A", "piv.123456"} {
		_, ours, err := parse(typed)
		if ours || !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v %v", typed, ours, err)
		}
		if id := typed[4:]; id != "" && err != nil && strings.Contains(err.Error(), id) {
			t.Errorf("%s is repeated: %v", typed, err)
		}
	}
	for _, typed := range []string{"PIV", "OPENPGP.1", "pkcs11:token=PIV.9A", "PIVOT.9A", ""} {
		if ref, ours, err := parse(typed); ours || err != nil {
			t.Errorf("%s: %v %v %v", typed, ref, ours, err)
		}
	}
}

// The family is known and cannot be opened.
func TestFamily(t *testing.T) {
	f := Family()
	if f.Open != nil || len(f.Probes) != 1 || f.Probes[0].App != "piv" || f.Probes[0].Type != "PIV card" {
		t.Errorf("%+v", f)
	}
}
