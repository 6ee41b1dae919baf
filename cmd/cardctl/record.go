package main

import (
	"context"
	"slices"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/record"
)

// changing are the commands that change a card: what they do is recorded where a ledger
// is named.
func changing() []string {
	return []string{
		"init", "set-pin", "unblock-pin", "set-holder", "set-management-key", "set-touch",
		"gen-key", "import-key", "delete-key", "move-key", "import-cert", "delete-cert", "enroll", "renew",
		"applet install", "applet delete", "applet set-keys", "applet script", "applet store-data",
		"applet state initialized", "applet state secured", "applet state lock", "applet state unlock",
		"applet state lock-card", "applet state unlock-card",
		"applet domain create", "applet domain extradite",
	}
}

// recorder keeps what the command does to a card; nil for one that changes none.
func (env *session) recorder() *record.Recorder {
	if env.flags.ledger == "" || env.line.Run == nil || !slices.Contains(changing(), env.line.Command()) || env.line.Given("dry-run") {
		return nil
	}
	if env.recording == nil {
		env.recording = &record.Recorder{
			Command: env.line.Command(),
			Open: func(ctx context.Context) (*ledger.Ledger, error) {
				return env.openLedger(ctx, ledger.Options{Create: true})
			},
		}
	}
	return env.recording
}
