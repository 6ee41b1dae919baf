package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/secret"
)

var sameCommand = regexp.MustCompile(`^the same command with --([a-z-]+)(?: ([^\s,]+))?$`)

var withoutFlag = regexp.MustCompile(`^(?:leave|leave out|the same command without) --([a-z-]+)(?: away)?$`)

func (env *session) literal(try string, may *repetition) string {
	if name, ok := strings.CutPrefix(try, "the same command with the right "); ok {
		if flag := env.flagOf(name); flag != "" {
			return env.again(advice.Repeat(advice.Ask(flag)), may)
		}
	}
	if same := sameCommand.FindStringSubmatch(try); same != nil {
		try = strings.TrimSpace("--" + same[1] + " " + same[2])
	}
	if without := withoutFlag.FindStringSubmatch(try); without != nil && env.given(without[1]) {
		return env.again(advice.Repeat().Without(advice.Field(without[1])), may)
	}
	if rest, ok := strings.CutPrefix(try, "--"); ok {
		flag, value, _ := strings.Cut(rest, " ")
		if env.about != nil && env.about.Flag(flag) != nil && !strings.ContainsAny(value, "' ") {
			return env.again(advice.Repeat(advice.Set(advice.Field(flag), value)), may)
		}
		return env.again(advice.Repeat(), may) + " --" + strings.TrimSpace(flag+" "+value)
	}
	return env.sameCard(try, may)
}

func (env *session) flagOf(pin string) string {
	if env.typed.cmd == nil {
		return ""
	}
	flags := map[string]secret.Name{
		"user PIN": secret.PIN, "admin PIN": secret.AdminPIN, "SO PIN": secret.SOPIN, "PUK": secret.PUK, "resetting code": secret.ResetCode,
	}
	for _, flag := range []string{"current-" + string(flags[pin]), string(flags[pin])} {
		if env.typed.cmd.Flags().Lookup(flag) != nil {
			return flag
		}
	}
	return ""
}

var onCards = []string{"info", "init", "set-pin", "unblock-pin", "gen-key", "import-key", "gen-csr",
	"import-cert", "export-cert", "export-key", "delete-cert", "delete-key", "smoke-test", "applet"}

func (env *session) sameCard(try string, may *repetition) string {
	rest, isCommand := strings.CutPrefix(try, "cardctl ")
	verb, _, _ := strings.Cut(rest, " ")
	verb = strings.TrimRight(verb, ",;")
	if env.typed.cmd == nil || !isCommand || !slices.Contains(onCards, verb) || strings.HasSuffix(try, " --help") {
		return try
	}
	for _, name := range []string{"serial", "reader"} {
		if v := env.valueOf(name); v != "" && may.allows(v) && !strings.Contains(rest, "--"+name) {
			rest = "--" + name + " " + quoted(v) + " " + rest
		}
	}
	return "cardctl " + rest
}
