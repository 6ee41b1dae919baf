package enroll

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostSaid is how much of the words of an issuer is shown, in characters.
const mostSaid = 300

// plain are words of somebody else in one line, without what a terminal would obey.
func plain(words string) string {
	if !utf8.ValidString(words) {
		return ""
	}
	words = strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return ' '
		}
		return c
	}, words)), " ")
	if list := []rune(words); len(list) > mostSaid {
		words = string(list[:mostSaid]) + "…"
	}
	return words
}

// itSaid is a clause with the plain words of an issuer.
func itSaid(words string) string {
	if words == "" {
		return "It gave no reason"
	}
	return "It said: " + words
}
