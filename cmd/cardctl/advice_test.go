package main

import (
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
)

// Every action but those about the command itself has a command.
func TestEveryActionHasACommand(t *testing.T) {
	for action := advice.ShowCard; action <= advice.SetUp; action++ {
		if err := understood("cardctl " + actions[action]); actions[action] == "" || err != nil {
			t.Errorf("action %d is %q: %v", action, actions[action], err)
		}
	}
	if last := advice.SetUp - advice.ShowCard + 1; len(actions) != int(last) {
		t.Errorf("%d actions, %d commands", last, len(actions))
	}
}
