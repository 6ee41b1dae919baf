// Package packaging finds the encoded structures in a file, however programs and people
// wrapped them: PEM in any encoding and layout, base64 or hex without PEM around it, or
// the bare bytes. What cannot be unwrapped gets its name. What the structures are is left
// to packages certstore and keygen.
package packaging

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/secret"
)

// Block is one structure.
type Block struct {
	// Label is that of PEM (RFC 7468, 2), empty for a structure without one.
	Label string
	// DEKInfo is the header of a key that is encrypted as RFC 1421 has it, empty for
	// others.
	DEKInfo string
	// Bytes is the content, which the caller wipes if it is secret.
	Bytes []byte
}

// Contents are the structures of a file.
type Contents struct {
	Blocks []Block
	// Damaged is how many blocks of PEM cannot be read.
	Damaged int
	// PEM says that there are blocks of PEM, read or damaged.
	PEM bool
}

// Wipe overwrites what was found.
func (c Contents) Wipe() {
	for _, b := range c.Blocks {
		secret.Wipe(b.Bytes)
	}
}

// begin is in every file of PEM (RFC 7468, 3).
var begin = []byte("-----BEGIN ")

// marker is a line that begins or ends a block.
var marker = regexp.MustCompile(`-----(BEGIN|END) ([A-Za-z0-9#][A-Za-z0-9# ._/-]{0,60}?)-----`)

// Open finds the structures in a file. Without any, Contents is empty, and Name says what
// the file is.
func Open(data []byte) Contents {
	text := Text(data)
	if !bytes.Contains(text, begin) && bytes.Contains(text, []byte("-----BEGIN%20")) {
		if plain, err := url.PathUnescape(string(text)); err == nil {
			text = []byte(plain)
		}
	}
	if !bytes.Contains(text, begin) {
		if plain := encodedTwice(text); len(plain) > 0 {
			text = plain
		}
	}
	if !sameSlice(text, data) {
		defer secret.Wipe(text)
	}
	if bytes.Contains(text, begin) {
		if c := openPEM(text); c.PEM {
			return c
		}
	}
	const sequence = 0x30
	if len(data) > 0 && data[0] == sequence && !isHex(data) {
		return Contents{Blocks: []Block{{Bytes: bytes.Clone(data)}}}
	}
	return Contents{Blocks: openBare(text)}
}

// inBase64 is PEM that was encoded once more, as secrets of Kubernetes are: it begins with
// "-----BEGIN", in one line or in several.
var inBase64 = regexp.MustCompile(`(?m)LS0tLS1CRUdJTi[A-Za-z0-9+/]+={0,2}(?:\r?\n[A-Za-z0-9+/]+={0,2}\r?$)*`)

// encodedTwice is the PEM that text has in base64, empty without any.
func encodedTwice(text []byte) []byte {
	plain := make([]byte, 0, len(text))
	for _, found := range inBase64.FindAll(text, maxBare) {
		if value, ok := decodeBase64(found); ok {
			plain = append(append(plain, value...), '\n')
			secret.Wipe(value)
		}
	}
	return plain
}

func sameSlice(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && &a[len(a)-1] == &b[len(b)-1]
}

// openPEM reads the blocks of PEM. A marker inside a sentence is not one of a block.
func openPEM(text []byte) Contents {
	var c Contents
	found := marker.FindAllSubmatchIndex(text, -1)
	for i, at := range found {
		if text[at[2]] != 'B' {
			continue
		}
		label := string(text[at[4]:at[5]])
		alone := aloneInLine(text, at[0], at[1])
		if i+1 == len(found) || text[found[i+1][2]] != 'E' || string(text[found[i+1][4]:found[i+1][5]]) != label {
			if alone || looksEncoded(text[at[1]:]) {
				c.Damaged++
				c.PEM = true
			}
			continue
		}
		body := text[at[1]:found[i+1][0]]
		block, ok := decode(label, body)
		switch {
		case ok && (alone || len(block.Bytes) >= leastInSentence):
			c.Blocks, c.PEM = append(c.Blocks, block), true
		case alone || looksEncoded(body):
			c.Damaged++
			c.PEM = true
		}
	}
	return c
}

// leastInSentence is the length in bytes of a structure whose markers stand in a line
// with other text: a shorter one may be words.
const leastInSentence = 24

// near is how many bytes beside a marker are looked at.
const near = 200

// aloneInLine reports whether nothing but quotation marks and indentation stands in the
// line of text[from:to].
func aloneInLine(text []byte, from, to int) bool {
	before := text[max(0, from-near):from]
	if i := bytes.LastIndexAny(before, "\n\r"); i >= 0 {
		before = before[i+1:]
	}
	after := text[to:min(len(text), to+near)]
	if i := bytes.IndexAny(after, "\n\r"); i >= 0 {
		after = after[:i]
	}
	const around = " \t>|\"'"
	return len(bytes.Trim(before, around)) == 0 && len(bytes.Trim(after, around)) == 0
}

// looksEncoded reports whether text begins with a long run of base64.
func looksEncoded(text []byte) bool {
	const run = 24
	trimmed := bytes.TrimLeft(text[:min(len(text), near)], " \t\r\n>|\"'\\nr")
	return len(trimmed) >= run && !slices.ContainsFunc(trimmed[:run], func(b byte) bool { return !isBase64(b) })
}

func isBase64(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '+' || b == '/'
}

// headers of RFC 1421, and what other programs write in front of the content.
var (
	dekInfo = regexp.MustCompile(`DEK-Info:\s*([A-Za-z0-9-]+,[0-9A-Fa-f]+)`)
	header  = regexp.MustCompile(`^[\s>|"']*(?:Proc-Type:\s*4,\s*ENCRYPTED|DEK-Info:\s*[A-Za-z0-9-]+,[0-9A-Fa-f]+|[A-Za-z][A-Za-z0-9-]*:[^\n\r]*)`)
)

// decode reads the body of a block.
func decode(label string, body []byte) (Block, bool) {
	body = unescape(body)
	defer secret.Wipe(body)
	b := Block{Label: label}
	if found := dekInfo.FindSubmatch(body); found != nil {
		b.DEKInfo = string(found[1])
	}
	content := body
	for {
		at := header.FindIndex(content)
		if at == nil {
			break
		}
		content = content[at[1]:]
	}
	var ok bool
	b.Bytes, ok = decodeBase64(content)
	return b, ok
}

// escapes that JSON, shells and mail put into text.
func unescape(body []byte) []byte {
	out := make([]byte, 0, len(body))
	printable := bytes.Contains(body, []byte("=3D"))
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case b == '\\':
			for i+1 < len(body) && body[i+1] == '\\' {
				i++
			}
			if value, ok := unicodeEscape(body[i:]); ok {
				out = append(out, value)
				i += len(`\u0000`) - 1
			} else if i+1 < len(body) && bytes.IndexByte([]byte("nrt"), body[i+1]) >= 0 {
				out = append(out, '\n')
				i++
			}
		case printable && bytes.HasPrefix(body[i:], []byte("=3D")):
			out = append(out, '=')
			i += len("3D")
		case printable && b == '=':
			// a soft line break of quoted-printable
		case b == '<' && bytes.HasPrefix(bytes.ToLower(body[i:min(len(body), i+3)]), []byte("<br")):
			if end := bytes.IndexByte(body[i:], '>'); end >= 0 {
				i += end
			}
			out = append(out, '\n')
		default:
			out = append(out, b)
		}
	}
	return out
}

// unicodeEscape reads one of JSON for a character of base64, such as \u002b.
func unicodeEscape(text []byte) (byte, bool) {
	if len(text) < len(`\u0000`) || text[1] != 'u' {
		return 0, false
	}
	value, err := hex.DecodeString(string(text[2:6]))
	if err != nil || value[0] != 0 {
		return 0, false
	}
	return value[1], true
}

// ignored may stand between the characters of base64: blanks, and what quotes lines.
const ignored = " \t\r\n\v\f>|\"',;"

// decodeBase64 reads base64 (RFC 4648, 4) with or without padding.
func decodeBase64(text []byte) ([]byte, bool) {
	digits := make([]byte, 0, len(text))
	defer func() { secret.Wipe(digits) }()
	padded := false
	for _, b := range text {
		switch {
		case isBase64(b) && !padded:
			digits = append(digits, b)
		case b == '=':
			padded = true
		case bytes.IndexByte([]byte(ignored), b) >= 0:
		default:
			return nil, false
		}
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, err := base64.RawStdEncoding.Decode(out, digits)
	if err != nil || n == 0 {
		return nil, false
	}
	return out[:n], true
}

// openBare reads structures in base64 or hex without PEM around them. They follow each
// other after padding or an empty line.
func openBare(text []byte) []Block {
	const sequence, least = 0x30, 32
	trimmed := bytes.TrimSpace(text)
	if isHex(trimmed) {
		if value, err := hex.DecodeString(string(hexDigits(trimmed))); err == nil {
			return []Block{{Bytes: value}}
		}
	}
	if len(trimmed) < least || trimmed[0] != 'M' { // a SEQUENCE
		return nil
	}
	if value, ok := decodeBase64(unescape(trimmed)); ok && value[0] == sequence {
		return []Block{{Bytes: value}}
	}
	if value, err := base64.RawURLEncoding.DecodeString(string(bytes.TrimRight(trimmed, "="))); err == nil && value[0] == sequence {
		return []Block{{Bytes: value}}
	}
	var blocks []Block
	for _, part := range separated.Split(string(trimmed), maxBare) {
		if part == "" {
			continue
		}
		value, ok := decodeBase64(unescape([]byte(part)))
		if !ok || value[0] != sequence {
			return nil
		}
		blocks = append(blocks, Block{Bytes: value})
	}
	return blocks
}

// maxBare is how many structures without PEM around them are looked for.
const maxBare = 1000

// separated is what may stand between two structures in base64.
var separated = regexp.MustCompile(`=+\s*|\r?\n[ \t]*\r?\n\s*`)

// isHex reports whether text is a dump of a SEQUENCE in hex.
func isHex(text []byte) bool {
	const least = 32
	digits := hexDigits(bytes.TrimSpace(text))
	return len(digits) >= least && len(digits)%2 == 0 && digits[0] == '3' && digits[1] == '0' &&
		!slices.ContainsFunc(digits, func(b byte) bool {
			return (b < '0' || b > '9') && (b < 'a' || b > 'f') && (b < 'A' || b > 'F')
		})
}

func hexDigits(text []byte) []byte {
	digits := make([]byte, 0, len(text))
	for _, b := range text {
		if bytes.IndexByte([]byte(" \t\r\n:"), b) < 0 {
			digits = append(digits, b)
		}
	}
	return digits
}

// Text is text without a byte-order mark, and UTF-16 in UTF-8; other data is itself.
func Text(data []byte) []byte {
	const fewest = 4
	if rest, ok := bytes.CutPrefix(data, []byte("\xEF\xBB\xBF")); ok {
		return rest
	}
	if len(data) < fewest {
		return data
	}
	little := data[0] == 0xFF && data[1] == 0xFE || data[0] != 0 && data[1] == 0 && data[2] != 0 && data[3] == 0
	big := data[0] == 0xFE && data[1] == 0xFF || data[0] == 0 && data[1] != 0 && data[2] == 0 && data[3] != 0
	if !little && !big {
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 0; i+1 < len(data); i += 2 {
		high, low := data[i], data[i+1]
		if little {
			high, low = low, high
		}
		units = append(units, uint16(high)<<8|uint16(low))
	}
	const mark = 0xFEFF
	if len(units) > 0 && units[0] == mark {
		units = units[1:]
	}
	text := make([]byte, 0, len(units))
	for _, r := range utf16.Decode(units) {
		text = utf8.AppendRune(text, r)
	}
	clear(units)
	return text
}
