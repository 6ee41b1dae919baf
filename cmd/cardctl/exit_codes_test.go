package main

import (
	"regexp"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// meaning is a code, when it occurs and what to do about it, in the words of the
// manual.
type meaning struct {
	code         problem.Code
	when, advice string
}

// meanings has every code, in the order of the exit codes of the contract.
func meanings() []meaning {
	return []meaning{
		{problem.Failed, "any other failure, including a `--timeout`",
			"If the error says \"gave up after\", use a longer `--timeout`. If the card hangs, remove it and insert it again."},
		{problem.Usage, "a wrong flag, or a secret that is missing, malformed, too short or too long",
			"Name the source of a missing secret, such as `--pin env:NAME`. If others can read the file with the secret, run `chmod 600` on it."},
		{problem.NotFound, "no such reader, card, token, key, certificate or file, or several match where one is needed",
			"No reader: check that `pcscd` runs. No card: run `cardctl list-readers --wait`. Several: choose one with `--reader` or `--serial`; the error lists them."},
		{problem.PINIncorrect, "wrong PIN; the error shows how many tries are left",
			"Each wrong PIN uses up a try. Run `cardctl info` to check that this is the right card."},
		{problem.KeysIncorrect, "wrong card keys",
			"If the card keys are derived from master keys, add `--diversification`. To try again, add `--retry-keys`."},
		{problem.PINBlocked, "the PIN is blocked or has one try left, or card keys failed on this card before",
			"User PIN: run `cardctl unblock-pin user`. Admin PIN: only `cardctl init` helps, and it erases the keys. " +
				"To use the last try, add `--allow-last-try`. If you now know the right card keys, add `--retry-keys`."},
		{problem.TriesUnknown, "nothing reports how many tries the PIN has left, so it was not sent",
			"A mistake might block the PIN. If you are sure of the PIN, add `--allow-unknown-tries`."},
		{problem.CardBusy, "another program holds the card; the error names it if the system reports it",
			"It is usually scdaemon: run `gpgconf --kill scdaemon`. To wait for the card, add `--timeout 1m`."},
		{problem.NotSupported, "the card or module does not support this",
			"The error shows what it supports. A certificate may also be too long for the card."},
		{problem.Mismatch, "certificate and key differ, a signature or chain does not verify, or a file is not what it claims to be",
			"`cardctl info` shows which certificate matches which key. Check that `--ca` names the CA that issued the certificate."},
		{problem.Refused, "existing data would be destroyed or overwritten, and nobody confirmed",
			"If that is what you want, add `--yes`, or `--replace FINGERPRINT` for a key. " +
				"For a certificate that is expired or not yet valid, add `--allow-expired`."},
		{problem.CardRemoved, "the card or its reader was removed; the error shows what is on the card now",
			"Insert the card, check it with `cardctl info`, and run the same command again to finish."},
		{problem.CardChanged, "another card has replaced the selected one, or the selected one was removed and inserted again",
			"Insert the selected card and run the same command again. If the error reports that a program was running meanwhile, " +
				"check both cards with `cardctl info`: it may have changed either. Otherwise the other card got no PIN and no change."},
		{problem.Interrupted, "Ctrl-C or SIGTERM",
			"Check the card with `cardctl info`, and run the same command again to finish."},
	}
}

func TestEveryCodeHasAdvice(t *testing.T) {
	listed := map[string]bool{}
	for _, m := range meanings() {
		listed[string(m.code)] = m.when != "" && m.advice != ""
	}
	codes := regexp.MustCompile(`(?m)^\t\w+ +Code = "(.*)"$`).FindAllStringSubmatch(readFile(t, "../../internal/problem/problem.go"), -1)
	if len(codes) != len(listed) {
		t.Errorf("%d codes, %d meanings", len(codes), len(listed))
	}
	for _, code := range codes {
		if !listed[code[1]] {
			t.Errorf("%s has no meaning or no advice", code[1])
		}
	}
}
