package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// javaCard is what the state of a simulated Java card has.
type javaCard struct {
	LifeCycle byte
	Tries     int
	CIN       []byte
	Keys      []struct{ Version int }
	Packages  []struct{ AID, Domain []byte }
	Instances []struct {
		AID, Domain []byte
		LifeCycle   byte
		State       json.RawMessage
	}
}

// javaState reads the state of a simulated Java card.
func javaState(t *testing.T, state []byte) javaCard {
	t.Helper()
	var card struct{ Applications []struct{ State javaCard } }
	if err := json.Unmarshal(state, &card); err != nil || len(card.Applications) != 1 {
		t.Fatalf("%d applications, %v", len(card.Applications), err)
	}
	return card.Applications[0].State
}

// String is all of a card that commands change, except its tries and the counters of
// its sessions.
func (c javaCard) String() string {
	var s strings.Builder
	_, _ = fmt.Fprintf(&s, "card %02X, CIN %X, keys", c.LifeCycle, c.CIN)
	for _, k := range c.Keys {
		_, _ = fmt.Fprintf(&s, " %d", k.Version)
	}
	for _, p := range c.Packages {
		_, _ = fmt.Fprintf(&s, ", package %X of %X", p.AID, p.Domain)
	}
	for _, i := range c.Instances {
		_, _ = fmt.Fprintf(&s, ", %X of %X in state %02X %s", i.AID, i.Domain, i.LifeCycle, i.State)
	}
	return s.String()
}
