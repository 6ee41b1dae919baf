package keygen

import (
	"context"
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestDelete(t *testing.T) {
	for name, test := range map[string]struct {
		key         *fakeKey
		fingerprint string
		confirmed   bool
		code        problem.Code
	}{
		"the key that is named": {occupied(), "0x" + oldFingerprint, true, ""},
		"another key":           {occupied(), newFingerprint, true, problem.Refused},
		"no fingerprint":        {occupied(), "", true, problem.Refused},
		"not confirmed":         {occupied(), oldFingerprint, false, problem.Refused},
		"there is none":         {&fakeKey{}, oldFingerprint, true, problem.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DeleteOn(t.Context(), test.key, test.fingerprint, func(context.Context, desk.Question) error {
				if !test.confirmed {
					return problem.New(problem.Refused, "no")
				}
				return nil
			})
			if test.code != "" && !problem.Is(err, test.code) || test.code == "" && err != nil {
				t.Fatalf("%v, want %q", err, test.code)
			}
			if deleted := slices.Contains(test.key.did, "delete"); deleted != (test.code == "") {
				t.Errorf("deleted: %v", deleted)
			}
		})
	}
}

// The certificate stays, and is named.
func TestDeleteLeavesTheCertificate(t *testing.T) {
	for left, der := range map[string][]byte{"": nil, "(not readable)": {1}, "CN=Floppy Head": certificateOf(t, "Floppy Head")} {
		k := occupied()
		k.certificate = der
		r, err := DeleteOn(t.Context(), k, oldFingerprint, func(context.Context, desk.Question) error { return nil })
		if err != nil || r.StaleCertificate != left {
			t.Errorf("%q is left, %v", r.StaleCertificate, err)
		}
	}
}
