package scdaemon

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// written are the attributes that scdaemon writes to cards: of OpenPGP cards, and of PIV cards.
// None of them is of the session alone.
func written() []string {
	return []string{
		"DISP-NAME", "LOGIN-DATA", "DISP-LANG", "DISP-SEX", "PUBKEY-URL", "CHV-STATUS-1", "CA-FPR-1", "CA-FPR-2", "CA-FPR-3",
		"PRIVATE-DO-1", "PRIVATE-DO-2", "PRIVATE-DO-3", "PRIVATE-DO-4", "CERT-3", "SM-KEY-ENC", "SM-KEY-MAC", "KEY-ATTR", "AESKEY",
		"UIF-1", "UIF-2", "UIF-3", "KDF", "AUTH-ADM-KEY", "SET-ADM-KEY",
	}
}

// setAttribute accepts the value that an attribute has already, for which nothing is written.
// Every other one would change the card.
func (s *session) setAttribute(ctx context.Context, a arguments) error {
	name := a.word(0)
	if !slices.Contains(written(), name) {
		return fail(errInvalidName, "")
	}
	c, keys, err := s.selectedKeys(ctx)
	if err != nil {
		return err
	}
	values, err := attribute(ctx, c, keys, name)
	if asked := wanted(a.words[1:]); err == nil && asked != "" && slices.ContainsFunc(values, func(has string) bool {
		has = plain(has)
		return has == asked || name == "KEY-ATTR" && sameAlgorithm(has, asked)
	}) {
		return nil
	}
	return s.changesCard(ctx, a)
}

// sameAlgorithm reports whether a key has the attributes that are asked for, which are its number,
// an algorithm and the name of it. The lengths behind them, of RSA, are the card's.
func sameAlgorithm(has, asked string) bool {
	const words = 3
	return strings.HasPrefix(has, asked+" ") && len(strings.Fields(asked)) == words
}

// wanted is the value that is asked for; gpg puts an option before that of KEY-ATTR.
func wanted(words []string) string {
	return plain(strings.Join(parse(strings.Join(words, " ")).words, " "))
}

// plain is a value without percent-plus escapes; empty if these are none.
func plain(value string) string {
	text, err := url.QueryUnescape(value)
	if err != nil {
		return ""
	}
	return text
}
