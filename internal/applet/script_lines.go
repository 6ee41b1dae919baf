package applet

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/gp"
)

// scriptParser puts the lines of a script together to commands: a command ends
// where the next begins.
type scriptParser struct {
	script   Script
	variable func(name string) string

	words     []string // of the command that is being read
	first     int      // its line
	continued bool     // the last line ended in a backslash
	glued     bool     // right behind a word
}

// read reads a line.
func (p *scriptParser) read(number int, raw string) error {
	line, backslash := strings.CutSuffix(strings.TrimRight(raw, " \t\r"), `\`)
	next, err := splitWords(line)
	if len(p.words)+len(next) > maxWords {
		return scriptError(number, "a command has more than %d words", maxWords)
	}
	for i := range next {
		if err == nil {
			next[i], err = p.substitute(next[i])
		}
	}
	if err != nil {
		return scriptError(number, "%v", err)
	}
	if len(next) > 0 && !p.continued && !wraps(p.words, next[0]) {
		if err := p.finish(); err != nil {
			return err
		}
		p.first = number
	}
	if last := len(p.words) - 1; p.glued && last > 0 && len(next) > 0 && strings.HasPrefix(raw, next[0]) && halves(p.words[last], next[0]) {
		p.words[last] += next[0]
		next = next[1:]
	}
	p.words = append(p.words, next...)
	p.continued = backslash
	p.glued = backslash && line == strings.TrimRight(line, " \t")
	return nil
}

// finish ends the command that is being read.
func (p *scriptParser) finish() error {
	if len(p.words) == 0 {
		return nil
	}
	c, err := parseCommand(p.first, p.words)
	p.words = nil
	if err == nil && len(p.script.commands) == maxCommands {
		err = scriptError(p.first, "the script has more than %d commands", maxCommands)
	}
	if err == nil {
		p.script.commands = append(p.script.commands, *c)
	}
	return err
}

// halves reports whether two words can be one that a line break cut: a key or
// an AID.
func halves(a, b string) bool {
	_, err := hex.DecodeString(a + b)
	return err == nil
}

// wraps reports whether a line that begins with word goes on with the command
// before it: it begins with an option, or with the value that the last option
// still waits for. Scripts on web pages and in mails are wrapped like that.
func wraps(words []string, word string) bool {
	if len(words) == 0 || strings.EqualFold(words[0], printCommand) {
		return false
	}
	last := strings.ToLower(words[len(words)-1])
	kind, isOption := scriptOptions[last]
	return strings.HasPrefix(word, "-") || isOption && kind != noValue && len(words) > 1
}

// separators are what stands between words.
const separators = " \t,"

// splitWords cuts a line into words; a value in double quotes is one. What
// begins with # or // is a comment.
func splitWords(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, separators)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") || len(words) > maxWords {
			return words, nil
		}
		if line[0] == '"' {
			word, rest, closed := strings.Cut(line[1:], `"`)
			if !closed {
				return nil, fmt.Errorf("a quotation mark is not closed")
			}
			words, line = append(words, word), rest
			continue
		}
		end := strings.IndexAny(line, separators)
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
}

// substitute puts in what ${NAME} stands for.
func (p *scriptParser) substitute(word string) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(word, "${")
		out.WriteString(before)
		name, after, closed := strings.Cut(rest, "}")
		if !found {
			return out.String(), nil
		}
		if !closed {
			return "", fmt.Errorf("a brace is not closed")
		}
		value := p.variable(name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		out.WriteString(value)
		word = after
	}
}

// relate looks at commands that depend on others.
func (s *Script) relate() error {
	var channel *command // the open_sc that counts
	for i := range s.commands {
		c := &s.commands[i]
		switch c.name {
		case "open_sc":
			channel = c
		case "select", "card_connect", "card_disconnect", "close_sc":
			channel = nil
		case "install", "load":
			if channel != nil {
				c.level = gp.Level(channel.number("-security"))
			}
		case "put_sc_key", "put_dm_keys":
			if err := c.encryptWith(channel); err != nil {
				return err
			}
		case "install_for_make_selectable":
			for j := range s.commands[:i] {
				if before := &s.commands[j]; before.name == "install_for_install" && before.installed().Equal(c.installed()) {
					before.halfway = true
				}
			}
		}
	}
	return nil
}

// encryptWith finds the key that a put_sc_key or put_dm_keys encrypts the new keys with: that
// of the open_sc before it, or its own -current_kek.
func (c *command) encryptWith(channel *command) error {
	if channel == nil {
		return scriptError(c.line, "%s without an open_sc before it", c.name)
	}
	known := channel.has("-kek_key") || channel.has("-key")
	switch {
	case !known && c.has("-current_kek"):
		channel.options["-kek_key"] = c.options["-current_kek"]
		return channel.check()
	case !known:
		return scriptError(c.line, "%s needs a key to encrypt with", c.name).
			Because("Add -kek_key to the open_sc in line %d, or -current_kek to this line. Nothing was sent to the card.", channel.line)
	case channel.has("-kek_key") && c.has("-current_kek") && !strings.EqualFold(channel.options["-kek_key"], c.options["-current_kek"]):
		return scriptError(c.line, "%s: -current_kek differs from the -kek_key in line %d", c.name, channel.line)
	}
	return nil
}
