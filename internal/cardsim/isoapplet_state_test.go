package cardsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

func TestIsoAppletStateIsChecked(t *testing.T) {
	h := verified(t, "")
	h.create(open5015, 0x9000)
	h.create(infoEF, 0x9000)
	good := h.card.persisted
	if _, err := newCard("good", good, memory{}, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*isoAppletState)
	}{
		{"life cycle", func(s *isoAppletState) { s.LifeCycle = 2 }},
		{"no PIN", func(s *isoAppletState) { s.PIN = referenceData{} }},
		{"tries of the PIN", func(s *isoAppletState) { s.PIN.Tries = 4 }},
		{"tries of the PUK", func(s *isoAppletState) { s.PUK.Tries = -1 }},
		{"no MF", func(s *isoAppletState) { s.MF = nil }},
		{"MF of another name", func(s *isoAppletState) { s.MF.ID = 0x3F01 }},
		{"a child that is nothing", func(s *isoAppletState) { s.MF.Children[0] = nil }},
		{"data in a DF", func(s *isoAppletState) { s.MF.Children[0].Data = []byte{1} }},
		{"an EF of another size", func(s *isoAppletState) { s.MF.Children[0].Children[0].Data = []byte{1} }},
		{"a file of another name", func(s *isoAppletState) { s.MF.Children[0].ID++ }},
		{"no control information", func(s *isoAppletState) { s.MF.Children[0].FCI = nil }},
		{"a broken key", func(s *isoAppletState) { s.Keys[3].PKCS8 = []byte{0x30} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			whole, err := parseState(good)
			if err != nil {
				t.Fatal(err)
			}
			var state isoAppletState
			if err := json.Unmarshal(whole.Applications[0].State, &state); err != nil {
				t.Fatal(err)
			}
			test.change(&state)
			if whole.Applications[0].State, err = json.Marshal(state); err != nil {
				t.Fatal(err)
			}
			bad, err := json.Marshal(whole)
			if err != nil || bytes.Equal(bad, good) {
				t.Fatal(err)
			}
			if _, err := newCard("bad", bad, memory{}, nil, nil); !errors.Is(err, ErrState) {
				t.Fatalf("%v, want ErrState", err)
			}
		})
	}
}
