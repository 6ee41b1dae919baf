package card_test

import (
	"reflect"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
)

// What an opened application tells completes what the answers to the probes told,
// and takes nothing of it away.
func TestAddToAnIdentity(t *testing.T) {
	found := card.Identity{Type: "PIV card", Serial: "77", Applications: []card.Application{{Name: "piv", AID: "A0"}, {Name: "openpgp", AID: "D2"}}}
	found.Add(card.Identity{
		Type: "OpenPGP card", Serial: "78", Label: "desk", State: "terminated",
		Applications: []card.Application{{Name: "openpgp", Version: "3.4", AID: "D276"}, {Name: "gp", AID: "A000"}},
	})
	want := card.Identity{
		Type: "PIV card", Serial: "77", Label: "desk", State: "terminated",
		Applications: []card.Application{{Name: "piv", AID: "A0"}, {Name: "openpgp", Version: "3.4", AID: "D276"}, {Name: "gp", AID: "A000"}},
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("got %+v", found)
	}
	if !found.Has("gp") || found.Has("muscle") {
		t.Errorf("has %+v", found.Applications)
	}
}
