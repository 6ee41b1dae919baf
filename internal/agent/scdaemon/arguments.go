package scdaemon

import "strings"

// arguments are those of a command: its options, which come first and may have a value, and
// the words after them.
type arguments struct {
	options map[string]string
	words   []string
}

func parse(text string) arguments {
	a := arguments{options: map[string]string{}, words: strings.Fields(text)}
	for len(a.words) > 0 && strings.HasPrefix(a.words[0], "--") {
		option := a.words[0]
		a.words = a.words[1:]
		if option == "--" {
			break
		}
		name, value, _ := strings.Cut(option[2:], "=")
		a.options[name] = value
	}
	return a
}

func (a arguments) has(option string) bool {
	_, ok := a.options[option]
	return ok
}

// word is the i-th word, empty if there are fewer.
func (a arguments) word(i int) string {
	if i >= len(a.words) {
		return ""
	}
	return a.words[i]
}
