package scdaemon

import (
	"context"
	"slices"
	"strings"
)

// command is one that clients can give.
type command struct {
	name string
	// usage is for HELP; it has the options too.
	usage string
	run   func(*session, context.Context, arguments) error
}

// commands are all, in the order in which HELP lists them.
func commands() []command {
	return []command{
		{"SERIALNO", "[--demand=SERIAL] [--all] [APPLICATION]", (*session).serialNumber},
		{"SWITCHCARD", "[SERIAL]", (*session).switchCard},
		{"LEARN", "[--force] [--keypairinfo] [--multi] [--demand=SERIAL]", (*session).learn},
		{"READCERT", "KEY", (*session).readCertificate},
		{"READKEY", "[--info] [--info-only] [--] KEY", (*session).readKey},
		{"SETDATA", "[--append] HEX", (*session).setData},
		{"PKSIGN", "[--hash=NAME] KEY", (*session).sign},
		{"PKAUTH", "KEY", (*session).authenticate},
		{"PKDECRYPT", "KEY", (*session).decrypt},
		{"GETATTR", "NAME [KEYGRIP]", (*session).getAttribute},
		{"SETATTR", "NAME VALUE", (*session).setAttribute},
		{"KEYINFO", "[--list[=auth|encr|sign]] [--data] [KEYGRIP]", (*session).keyInfo},
		{"DEVINFO", "[--watch]", (*session).deviceInfo},
		{"CHECKPIN", "SERIAL", (*session).checkPIN},
		{"GETINFO", "WHAT", (*session).getInfo},
		{"OPTION", "NAME[=VALUE]", (*session).option},
		{"RESTART", "", (*session).reset},
		{"RESET", "", (*session).reset},
		{"HELP", "[COMMAND]", (*session).help},
		{"NOP", "", (*session).nothing},
		{"KILLSCD", "", (*session).end},
		{"BYE", "", (*session).end},
		{"WRITECERT", "", (*session).changesCard},
		{"WRITEKEY", "", (*session).changesCard},
		{"GENKEY", "", (*session).changesCard},
		{"PASSWD", "", (*session).changesCard},
		{"APDU", "", (*session).changesCard},
		{"RANDOM", "", (*session).changesCard},
		{"LOCK", "", (*session).changesCard},
		{"UNLOCK", "", (*session).changesCard},
	}
}

// find is the command with a name, whose case does not matter.
func find(name string) (command, bool) {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return strings.EqualFold(c.name, name) })
	if i < 0 {
		return command{}, false
	}
	return all[i], true
}

// hasOption reports whether a command has an option.
func (c command) hasOption(name string) bool {
	words := strings.FieldsFunc(c.usage, func(r rune) bool { return strings.ContainsRune(" []=", r) })
	return slices.Contains(words, "--"+name)
}

func (s *session) help(_ context.Context, a arguments) error {
	for _, c := range commands() {
		if a.word(0) == "" || strings.EqualFold(a.word(0), c.name) {
			s.out.comment(strings.TrimSpace(c.name + " " + c.usage))
		}
	}
	return nil
}

func (s *session) nothing(context.Context, arguments) error { return nil }

// changesCard refuses a command that would change a card, or that would use it at a level
// below this protocol.
func (s *session) changesCard(context.Context, arguments) error {
	return fail(errNotSupported, "the agent does not offer this; use cardctl")
}
