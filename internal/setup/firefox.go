package setup

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/smoke"
)

// firefox has Firefox log in to sites with the key: for everybody by its policies, for a
// person by the database of a profile.
func firefox() target {
	return target{
		name:    "firefox",
		needs:   []program{{names: []string{"firefox-esr", "firefox"}, pack: "firefox-esr"}, {names: []string{"modutil"}, pack: "libnss3-tools"}},
		accepts: []Option{advice.System, advice.User, advice.Profile, advice.CA, advice.AllowTLS12, advice.Picture, advice.Agent},
		loads:   true,
		plan:    planFirefox,
		check:   checkFirefox,
	}
}

func ofFirefox() *mozilla {
	return &mozilla{
		name: "Firefox", homes: []string{".mozilla/firefox", "+mozilla/firefox"},
		policies: "/etc/firefox/policies/policies.json", packaged: "/usr/lib/firefox-esr/distribution/policies.json",
	}
}

func planFirefox(ctx context.Context, j *job) (plan, error) {
	lower, err := j.forTLS(ctx, "Firefox", smoke.NSS)
	if err != nil {
		return plan{}, err
	}
	module, err := j.onePIN(ctx)
	if err != nil {
		return plan{}, err
	}
	p, err := ofFirefox().plan(ctx, j, module, forServers, lower)
	p.notes = append(p.notes, j.agentNotes()...)
	if lower {
		p.notes = append(p.notes, loweredTLS)
	}
	if p11.HoldsCard(module) {
		p.notes = append(p.notes, byGnuPG)
	}
	return p, err
}

// byGnuPG is what a person has to know of a module that works through GnuPG.
const byGnuPG = "Scute works through GnuPG: its pinentry asks for the PIN, and scdaemon holds the card as soon as Firefox has loaded Scute. cardctl setup gpgsm has it share the card. If a login fails, reload the page: Scute 1.5 shortens one signature of some 200."
