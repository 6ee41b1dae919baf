package main

import (
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/simulate"
	"github.com/cardctl/cardctl/internal/typed"
)

// actions are the commands that do what advice names.
var actions = map[advice.Action]string{
	advice.ShowCard: "info", advice.ListReaders: "list-readers", advice.ListTokens: "list-tokens", advice.Diagnose: "doctor",
	advice.Initialise: "init", advice.SetPIN: "set-pin", advice.UnblockPIN: "unblock-pin", advice.SetManagementKey: "set-management-key",
	advice.GenerateKey:   "gen-key",
	advice.CreateRequest: "gen-csr", advice.ExportKey: "export-key", advice.ImportCertificate: "import-cert", advice.DeleteCertificate: "delete-cert",
	advice.ListApplets: "applet list", advice.SetCardKeys: "applet set-keys", advice.UnlockCard: "applet state unlock-card",
	advice.ListSimulated: "sim list", advice.AttachSimulated: "sim attach", advice.SetUp: "setup", advice.StartAgent: "agent", advice.RunOpenVPN: "openvpn",
	advice.CreateCA: "ca init", advice.ShowCA: "ca show", advice.ListIssued: "ca list", advice.IssueCertificate: "ca issue", advice.Enroll: "enroll",
	advice.Provision: "provision", advice.ListCards: "ledger list", advice.ShowLedger: "ledger show",
	advice.MigrateLedger: "ledger migrate",
}

// language is what this program calls things.
func (env *session) language() *typed.Language {
	return &typed.Language{
		Actions:   actions,
		OffCard:   []advice.Action{advice.ListReaders, advice.ListTokens, advice.Diagnose, advice.ListSimulated, advice.AttachSimulated, advice.StartAgent},
		CardFlags: []string{"reader", "serial", "module", "card-keys", "isd", "key-version", "diversification", "accept-random-challenge"},
		ThatExist: []string{"module", "management-key-algorithm"},
		Variables: environment, Getenv: env.Getenv,
		Vocabulary: append(secret.Kinds(), inventory.ModuleNames()...),
		IsName:     env.isName,
	}
}

// isName reports whether a word is, or is part of, the name of something that is there,
// or is a reference to a key or a subject.
func (env *session) isName(word string) bool {
	if env.there.Any(func(name string) bool { return strings.Contains(strings.ToLower(name), strings.ToLower(word)) }) {
		return true
	}
	if _, err := inventory.ParseReference(word); err == nil {
		return true
	}
	if _, err := csr.ParseName(word); err == nil && strings.Contains(word, "=") {
		return true
	}
	return simulate.Has(env.store(), strings.TrimPrefix(word, desk.SimulatedPrefix))
}
