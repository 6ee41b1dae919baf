package main

import (
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
)

// Every action but those about the command itself has a command.
func TestEveryActionHasACommand(t *testing.T) {
	const last = advice.MigrateLedger
	for action := advice.ShowCard; action <= last; action++ {
		if err := understood("cardctl " + actions[action]); actions[action] == "" || err != nil {
			t.Errorf("action %d is %q: %v", action, actions[action], err)
		}
	}
	if all := last - advice.ShowCard + 1; len(actions) != int(all) {
		t.Errorf("%d actions, %d commands", all, len(actions))
	}
}
