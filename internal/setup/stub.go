package setup

import (
	"bytes"
	"strings"
)

// stub is a file of GnuPG's agent that says on which card a private key is.
type stub struct {
	Content string `json:"content"`
}

// onCard is in every such file, and in none with a private key.
const onCard = "shadowed-private-key"

func (s *stub) text() string { return s.Content }

// card is the line with the serial number of the card.
func (s *stub) card() string { return cardOf(s.Content) }

func cardOf(content string) string {
	for line := range strings.Lines(content) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "Token:" {
			return strings.Join(words[:2], " ")
		}
	}
	return content
}

// compare is content with a private key in the place, and shows nothing of it.
func (s *stub) compare(now []byte) (state, string, error) {
	switch {
	case now == nil:
		return absent, "", nil
	case !bytes.Contains(now, []byte(onCard)) || cardOf(string(now)) == s.card():
		return present, "", nil
	}
	return foreign, difference(s.card(), cardOf(string(now))), nil
}

func (s *stub) apply([]byte) ([]byte, error) { return []byte(s.Content), nil }

// strip leaves a private key that came into the place.
func (s *stub) strip(now, before []byte) ([]byte, error) {
	if now != nil && !bytes.Contains(now, []byte(onCard)) {
		return now, nil
	}
	return before, nil
}
