package main

import (
	"slices"
	"strings"
	"testing"
)

const pivPUK = "27182818"

// What brings a PIV card to where it is.
var (
	pivCard = []string{"init --app piv --yes"}
	pivKey  = slices.Concat(pivCard, []string{"gen-key -k PIV.9A"})
)

const pivRequest = "gen-csr -k PIV.9A --subject CN=a --self-signed --days 2 --out $W/a.pem --yes"

// pivVars are the secrets of a PIV card that is in use.
func pivVars(more ...string) []string {
	return append([]string{"CARDCTL_PUK=" + pivPUK, "CARDCTL_MANAGEMENT_KEY=" + managementKey, "OTHER_KEY=" + otherManagementKey}, more...)
}

var pivPulls = map[string]pull{
	"init of a used card": {
		before:  slices.Concat(pivKey, []string{pivRequest, "import-cert -k PIV.9A $W/a.pem"}),
		command: "init --app piv --yes", erases: true, done: initialisedPIVCard,
	},
	"set-pin user": {
		before: pivCard, command: "set-pin user --app piv", vars: []string{"CARDCTL_NEW_PIN=904412"},
		alreadyDone: "set-pin user --app piv --pin env:CARDCTL_NEW_PIN",
	},
	"set-pin puk": {
		before: pivCard, command: "set-pin puk --allow-unknown-tries", vars: []string{"CARDCTL_NEW_PIN=86421357"},
		alreadyDone: "set-pin puk --allow-unknown-tries --puk env:CARDCTL_NEW_PIN",
	},
	"set-management-key": {
		before: pivCard, command: "set-management-key --new-management-key env:OTHER_KEY",
		alreadyDone: "set-management-key --management-key env:OTHER_KEY --new-management-key env:CARDCTL_MANAGEMENT_KEY",
	},
	"gen-key": {before: pivCard, command: "gen-key -k PIV.9A", done: usablePIVKey},
	"gen-key, replacing": {
		before:  slices.Concat(pivKey, []string{"gen-key -k PIV.9C"}),
		command: "gen-key -k PIV.9A --replace $PIV", replaces: []string{"PIV.9A"}, done: usablePIVKey,
	},
	"gen-csr": {before: pivKey, command: "gen-csr -k PIV.9A --subject CN=a", done: usablePIVKey},
	"import-cert": {
		before: slices.Concat(pivKey, []string{pivRequest}), command: "import-cert -k PIV.9A $W/a.pem", done: pivCertificateOf("CN=a"),
	},
	"import-cert, replacing": {
		before: slices.Concat(pivKey, []string{
			pivRequest, "import-cert -k PIV.9A $W/a.pem", "gen-csr -k PIV.9A --subject CN=b --self-signed --days 2 --out $W/b.pem",
		}),
		command: "import-cert -k PIV.9A --yes $W/b.pem", replaces: []string{"certificate PIV.9A"}, done: pivCertificateOf("CN=b"),
	},
}

// pivMoves are those of a YubiKey that moves and deletes keys.
var pivMoves = map[string]pull{
	"move-key": {
		before:  slices.Concat(pivKey, []string{pivRequest, "import-cert -k PIV.9A $W/a.pem"}),
		command: "move-key -k PIV.9A --to PIV.84", replaces: []string{"PIV.9A"}, whole: "A key is at: PIV.84 (p256, ", done: movedPIVKey("PIV.84"),
	},
	"move-key --retire, without a certificate": {
		before: pivKey, command: "move-key -k PIV.9A --retire", replaces: []string{"PIV.9A"}, whole: "A key is at: PIV.82 (p256, ", done: movedPIVKey("PIV.82"),
	},
	"delete-key": {
		before: pivKey, command: "delete-key -k PIV.9A --fingerprint $PIV --yes", replaces: []string{"PIV.9A"}, whole: "there is no key to delete", done: movedPIVKey(""),
	},
	"delete-cert": {
		before:  slices.Concat(pivKey, []string{pivRequest, "import-cert -k PIV.9A $W/a.pem"}),
		command: "delete-cert -k PIV.9A --yes", replaces: []string{"certificate PIV.9A"}, whole: "no certificate", done: usablePIVKey,
	},
	"import-key": {before: pivCard, command: "import-key -k PIV.9A $W/key.pem", done: usablePIVKey},
	"import-key, replacing": {
		before: pivKey, command: "import-key -k PIV.9A --replace $PIV $W/key.pem", replaces: []string{"PIV.9A"}, done: usablePIVKey,
	},
	"unblock-pin": {before: pivCard, command: "unblock-pin --app piv", vars: []string{"CARDCTL_NEW_PIN=" + userPIN}, done: usablePIVCard},
	"set-management-key --protect-management-key": {
		before: pivCard, command: "set-management-key --protect-management-key", alreadyDone: "gen-key -k PIV.9A --management-key protected",
	},
}

// movedPIVKey wants the key of 9A at another place, or nowhere.
func movedPIVKey(to string) func(*testing.T, *testDesk, cardInfo) {
	return func(t *testing.T, d *testDesk, info cardInfo) {
		if fingerprintOf(info, "PIV.9A") != "" || to != "" && fingerprintOf(info, to) == "" {
			t.Errorf("keys: %+v", info.Keys)
		}
		if to != "" {
			d.must("gen-csr", "-k", to, "--subject", "CN=usable")
		}
	}
}

func usablePIVCard(_ *testing.T, d *testDesk, _ cardInfo) { d.must("gen-key", "-k", "PIV.9A") }

func initialisedPIVCard(t *testing.T, d *testDesk, info cardInfo) {
	if fingerprintOf(info, "PIV.9A") != "" {
		t.Errorf("left over: %+v", info)
	}
	d.must("set-pin", "user", "--app", "piv", "--new-pin", "env:CARDCTL_PIN")
	d.must("gen-key", "-k", "PIV.9A")
}

func usablePIVKey(_ *testing.T, d *testDesk, _ cardInfo) {
	d.must("gen-csr", "-k", "PIV.9A", "--subject", "CN=usable")
}

func pivCertificateOf(subject string) func(*testing.T, *testDesk, cardInfo) {
	return func(t *testing.T, _ *testDesk, info cardInfo) {
		for _, c := range info.Certificates {
			if c.Ref == "PIV.9A" && c.Subject == subject && c.MatchesKey {
				return
			}
		}
		t.Errorf("certificates: %+v", info.Certificates)
	}
}

// TestPulledPIVCard pulls a YubiKey out at every command of every workflow, and at every
// write; with PULL_EVERY also one that does not report what is in its slots.
func TestPulledPIVCard(t *testing.T) {
	profiles := map[string]map[string]pull{"piv-yubikey-5": pivPulls, "piv-yubikey-5.7": pivMoves}
	if everyPoint() {
		profiles["piv-yubikey-4"] = pivPulls
	}
	for profile, pulls := range profiles {
		t.Run(strings.TrimPrefix(profile, "piv-"), func(t *testing.T) {
			pullAll(t, "PIV, "+profile, pulls, func(t *testing.T, vars ...string) *testDesk {
				d := newDesk(t, pivVars(vars...)...)
				d.must("sim", "delete", "desk", "--yes")
				d.must("sim", "create", "desk", "--profile", profile, "--applications", "piv")
				return d
			})
		})
	}
}
