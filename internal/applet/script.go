package applet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/packaging"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// The bounds of a script: its length in bytes, its commands, and the words of one.
const (
	MaxScript   = 1 << 20
	maxCommands = 10_000
	maxWords    = 1000
)

// Script is a GPShell script that was read: every command and option in it is
// known and has a value that it can have.
type Script struct {
	commands []command
}

// command is one command of a script with its options by name.
type command struct {
	line    int
	name    string
	options map[string]string
	text    string // of print

	// level is the security level of the channel that loads a file.
	level gp.Level

	// halfway is an install_for_install whose application another command
	// makes selectable.
	halfway bool
}

// scriptError is a line that cannot be run.
func scriptError(line int, format string, args ...any) *problem.Error {
	return problem.New(problem.Usage, "line %d: %s", line, fmt.Sprintf(format, args...)).
		Because("Nothing was sent to the card.")
}

// kindOf is what an option's value must be.
type kindOf int

const (
	anyText kindOf = iota
	number         // decimal, or hexadecimal with 0x
	hexByte        // two hexadecimal digits
	hexData
	hexAID
	hexKey
	derivation
	noValue
)

// options are the options of all commands, in lower case.
var scriptOptions = map[string]kindOf{
	"-aid": hexAID, "-pkgaid": hexAID, "-instaid": hexAID, "-sdaid": hexAID,
	"-nvcodelimit": number, "-nvdatalimit": number, "-vdatalimit": number, "-instparam": hexData, "-priv": number,
	"-simspecparam": hexData, "-uiccsystemspecparam": hexData,
	"-security": number, "-keyind": number, "-keyver": number, "-newkeyver": number, "-scp": number, "-scpimpl": number,
	"-key": hexKey, "-mac_key": hexKey, "-enc_key": hexKey, "-kek_key": hexKey, "-current_kek": hexKey, "-keyderivation": derivation,
	"-file": anyText, "-element": hexByte, "-format": number, "-identifier": hexData, "-keytemplate": number,
	"-apdu": hexData, "-sc": number, "-data": hexData, "-dataformat": number, "-dataencryption": number, "-responsedataexpected": number,
	"-reader": anyText, "-readernumber": number, "-protocol": number, "-nostop": noValue, "-pass": anyText,
}

// scriptCommands are the commands, each with the options that it cannot do
// without.
var scriptCommands = map[string][]string{
	"mode_201": nil, "mode_211": nil, "enable_trace": nil, "enable_timer": nil,
	"visa_key_derivation": nil, "emv_cps11_key_derivation": nil, "gemxpressopro": nil,
	"establish_context": nil, "release_context": nil, "list_readers": nil, "card_connect": nil, "card_disconnect": nil,
	"select": nil, "open_sc": nil, "close_sc": nil, "exit": nil,
	"install": {"-file"}, "install_for_load": {"-pkgaid"}, "load": {"-file"}, "install_for_install": {"-pkgaid", "-aid"},
	"install_for_make_selectable": nil, "install_for_personalization": {"-aid"}, "store_data": {"-data"},
	"delete": {"-aid"}, "delete_key": nil, "get_status": {"-element"}, "get_data": {"-identifier"},
	"get_key_information_templates": nil, "get_extended_card_resources_information": nil, "get_secure_channel_protocol_details": nil,
	"get_card_recognition_data": nil,
	"put_sc_key":                {"-newkeyver"}, "put_dm_keys": {"-newkeyver", "-file", "-key"}, "send_apdu": {"-apdu"}, "send_apdu_nostop": {"-apdu"}, printCommand: nil,
}

// printCommand is the command whose words are no options.
const printCommand = "print"

// ScriptCommands are the names of the commands that a script may have.
func ScriptCommands() []string { return slices.Sorted(maps.Keys(scriptCommands)) }

// ParseScript reads a GPShell script. A command or an option that is not known
// is a problem.Usage that names the line. variable gives what ${NAME} stands
// for, "" for nothing.
func ParseScript(text []byte, variable func(name string) string) (*Script, error) {
	if len(text) > MaxScript {
		return nil, problem.New(problem.Usage, "the script has more than %d bytes", MaxScript)
	}
	ends := strings.NewReplacer("\r\n", "\n", "\r", "\n") // also those of editors that end a line by CR alone
	p := scriptParser{variable: variable}
	number := 0
	for line := range strings.Lines(ends.Replace(string(packaging.Text(text)))) {
		number++
		if err := p.read(number, strings.TrimSuffix(line, "\n")); err != nil {
			return nil, err
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	if len(p.script.commands) == 0 {
		return nil, problem.New(problem.Usage, "the script has no command")
	}
	if err := p.script.relate(); err != nil {
		return nil, err
	}
	return &p.script, nil
}

func parseCommand(line int, words []string) (*command, error) {
	c := &command{line: line, name: strings.ToLower(words[0])}
	needed, ok := scriptCommands[c.name]
	if !ok {
		return nil, scriptError(line, "unknown command %s", shown(words[0]))
	}
	if c.name == printCommand {
		c.text = strings.Join(words[1:], " ")
		return c, nil
	}
	c.options = map[string]string{}
	for rest := words[1:]; len(rest) > 0; rest = rest[1:] {
		option := strings.ToLower(rest[0])
		kind, ok := scriptOptions[option]
		if !ok {
			return nil, scriptError(line, "%s has no option %s", c.name, shown(rest[0]))
		}
		value := ""
		if kind != noValue {
			if len(rest) < 2 {
				return nil, scriptError(line, "%s: %s has no value", c.name, rest[0])
			}
			value, rest = rest[1], rest[1:]
		}
		if err := kind.check(value); err != nil {
			return nil, scriptError(line, "%s: %s %v", c.name, option, err)
		}
		// GPShell takes the last; of two keys nobody knows which is meant.
		if kind == hexKey && c.has(option) {
			return nil, scriptError(line, "%s: %s is given twice", c.name, option)
		}
		c.options[option] = value
	}
	for _, option := range needed {
		if !c.has(option) {
			return nil, scriptError(line, "%s needs %s", c.name, option)
		}
	}
	return c, c.check()
}

// shown is a word for an error. One that may be a key, and one that no command or option
// is like, is not repeated.
func shown(word string) string {
	const most = 64
	if len(word) > most {
		return fmt.Sprintf("of %d bytes", len(word))
	}
	if _, err := hex.DecodeString(word); err == nil && len(word) > 2*gp.MaxAID-2 {
		return fmt.Sprintf("of %d hexadecimal digits", len(word))
	}
	return strconv.Quote(word)
}

// check reports whether a value can be one of this kind. It never repeats the
// value: it may be a key.
func (k kindOf) check(value string) error {
	data, err := hex.DecodeString(value)
	defer clear(data)
	switch k {
	case number:
		if n, err := parseNumber(value); err != nil || n < 0 {
			return fmt.Errorf("is not a number")
		}
		return nil
	case derivation:
		if _, ok := derivations[strings.ToLower(value)]; !ok {
			return fmt.Errorf("is not one of none, visa2 and emvcps11")
		}
		return nil
	case hexByte, hexData, hexAID, hexKey:
		if err != nil {
			return fmt.Errorf("is not hexadecimal")
		}
	}
	switch {
	case k == hexByte && len(data) != 1:
		return fmt.Errorf("is not one byte")
	case k == hexAID && gp.AID(data).Check() != nil:
		return fmt.Errorf("has %d bytes; an AID has %d to %d", len(data), gp.MinAID, gp.MaxAID)
	case k == hexKey && len(data) != 16 && len(data) != 24 && len(data) != 32:
		return fmt.Errorf("has %d bytes; a key has 16, 24 or 32", len(data))
	}
	return nil
}

func parseNumber(text string) (int, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "0x"), map[bool]int{true: 16, false: 10}[strings.HasPrefix(text, "0x")], 32)
	return int(n), err
}

// derivations are the names of key diversifications in scripts.
var derivations = map[string]gp.Diversification{
	"none": gp.NoDiversification, "visa2": gp.DiversificationVISA2, "emvcps11": gp.DiversificationEMV,
}

// check looks at options of one command that depend on each other.
func (c *command) check() error {
	for _, option := range []string{"-priv", "-keyver", "-newkeyver", "-keyind", "-security", "-scpimpl", "-dataformat", "-dataencryption"} {
		if c.number(option) > 0xFF {
			return scriptError(c.line, "%s: %s is greater than 255", c.name, option)
		}
	}
	if n := len(c.hex("-identifier")); c.has("-identifier") && n != 1 && n != 2 {
		return scriptError(c.line, "%s: -identifier has %d bytes; a tag has 1 or 2", c.name, n)
	}
	if strings.HasPrefix(c.name, "send_apdu") && len(c.hex("-apdu")) < 4 {
		return scriptError(c.line, "%s: an APDU has at least 4 bytes", c.name)
	}
	switch c.name {
	case "put_sc_key", "put_dm_keys":
		if v := c.number("-newkeyver"); v < 1 || v > 0x7F {
			return scriptError(c.line, "%s: -newkeyver is %d; a key version is 1 to 127", c.name, v)
		}
	case "open_sc":
	case "delete_key":
		if c.number("-keyver") == 0 && c.keyIndex() == 0 {
			return scriptError(c.line, "delete_key needs -keyver, or -keyind")
		}
		return nil
	case "install_for_make_selectable":
		if c.installed() == nil {
			return scriptError(c.line, "%s needs -instaid", c.name)
		}
		return nil
	default:
		return nil
	}
	if c.has("-key") {
		return nil
	}
	lengths := map[int]bool{}
	for _, option := range []string{"-enc_key", "-mac_key", "-kek_key"} {
		if c.has(option) {
			lengths[len(c.options[option])] = true
		} else if c.name == "put_sc_key" || option != "-kek_key" {
			return scriptError(c.line, "%s needs %s, or -key", c.name, option)
		}
	}
	if len(lengths) != 1 {
		return scriptError(c.line, "%s: the keys differ in length", c.name)
	}
	return nil
}

func (c *command) has(option string) bool { _, ok := c.options[option]; return ok }

// number is the value of an option of a number; 0 where it is not there.
func (c *command) number(option string) int {
	n, _ := parseNumber(c.options[option]) // checked when it was read
	return n
}

func (c *command) hex(option string) []byte {
	b, _ := hex.DecodeString(c.options[option]) // checked when it was read
	return b
}

// keyIndex is the key that delete_key means, 0 for all of a version.
func (c *command) keyIndex() byte {
	const all = 0xFF
	if n := c.number("-keyind"); n != all {
		return byte(n)
	}
	return 0
}

// installed is the AID of the application that a command installs.
func (c *command) installed() gp.AID {
	if c.has("-instaid") {
		return c.aid("-instaid")
	}
	return c.aid("-aid")
}

// aid is nil where the option is not there.
func (c *command) aid(option string) gp.AID {
	if !c.has(option) {
		return nil
	}
	return c.hex(option)
}

// keys are the keys of open_sc and put_sc_key. Old cards and scripts have no
// key encryption key; the channel opens without.
func (c *command) keys() (*gp.KeySet, error) {
	var keys [3][]byte
	for i, option := range []string{"-enc_key", "-mac_key", "-kek_key"} {
		if !c.has(option) || c.has("-key") && c.has("-keyderivation") {
			option = "-key"
		}
		keys[i] = c.hex(option)
		defer secret.Wipe(keys[i])
	}
	if len(keys[2]) == 0 {
		keys[2] = bytes.Clone(keys[0])
		defer secret.Wipe(keys[2])
	}
	return gp.NewKeySet(keys[0], keys[1], keys[2])
}

// describe is the command for a person, without what may be secret.
func (c *command) describe() string {
	words := []string{c.name}
	for _, option := range []string{"-aid", "-pkgaid", "-instaid", "-file", "-element", "-identifier", "-keyver", "-newkeyver"} {
		if c.has(option) {
			words = append(words, option, c.options[option])
		}
	}
	return strings.Join(words, " ")
}
