package setup

import (
	"regexp"
	"strings"
)

// preference is one in the file prefs.js of a profile of Firefox or Thunderbird. In
// user.js it would stay: the program copies what is there into prefs.js.
type preference struct {
	Name  string `json:"name"`
	Value string `json:"value"` // as JavaScript has it
}

func (p *preference) text() string { return `user_pref("` + p.Name + `", ` + p.Value + ");\n" }

var preferenceLine = regexp.MustCompile(`^user_pref\("([^"]*)", *(.*)\);\r?\n?$`)

// find splits a file at the line of the preference; value is empty where there is none.
func (p *preference) find(now []byte) (head, value, tail string) {
	lines := strings.SplitAfter(string(now), "\n")
	for i, line := range lines {
		if found := preferenceLine.FindStringSubmatch(line); found != nil && found[1] == p.Name {
			return strings.Join(lines[:i], ""), found[2], strings.Join(lines[i+1:], "")
		}
	}
	return string(now), "", ""
}

func (p *preference) compare(now []byte) (state, string, error) {
	switch _, value, _ := p.find(now); value {
	case "":
		return absent, "", nil
	case p.Value:
		return present, "", nil
	default:
		return foreign, difference(p.text(), (&preference{p.Name, value}).text()), nil
	}
}

func (p *preference) apply(now []byte) ([]byte, error) {
	head, _, tail := p.find(now)
	if head != "" && !strings.HasSuffix(head, "\n") {
		head += "\n"
	}
	return []byte(head + p.text() + tail), nil
}

func (p *preference) strip(now, before []byte) ([]byte, error) {
	head, value, tail := p.find(now)
	_, old, _ := p.find(before)
	if value != "" && old != "" {
		head += (&preference{p.Name, old}).text()
	}
	if before == nil && head+tail == "" {
		return nil, nil
	}
	return []byte(head + tail), nil
}
