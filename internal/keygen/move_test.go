package keygen

import (
	"context"
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// movable is a key that can be moved within its card.
type movable struct {
	*fakeKey
	to key.Reference
}

func (k *movable) Free(context.Context) (key.Reference, error) {
	return key.Reference{Family: "openpgp", ID: "9", Text: "OPENPGP.9"}, nil
}

func (k *movable) Move(_ context.Context, to key.Reference) (*key.Moved, error) {
	k.to = to
	return &key.Moved{Key: k.fakeKey, Certificate: []byte{0x30}, Finished: true}, nil
}

func TestMoveOn(t *testing.T) {
	k := &movable{fakeKey: occupied()}
	r, err := MoveOn(t.Context(), k, key.Reference{})
	if err != nil || k.to.Text != "OPENPGP.9" || r.From != "OPENPGP.3" || !r.Finished || r.Certificate != "(not readable)" || r.Fingerprint != oldFingerprint {
		t.Errorf("%+v to %s, %v", r, k.to, err)
	}
	for name, test := range map[string]struct {
		k    key.Key
		to   key.Reference
		code problem.Code
	}{
		"a card that moves none": {occupied(), key.Reference{Family: "openpgp", ID: "2", Text: "OPENPGP.2"}, problem.NotSupported},
		"another kind of card":   {k, key.Reference{Family: "PIV", ID: "82", Text: "PIV.82"}, problem.Usage},
		"the same place":         {k, k.Reference(), problem.Usage},
	} {
		if _, err := MoveOn(t.Context(), test.k, test.to); !problem.Is(err, test.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
