package secret

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/problem"
)

// Meant takes b over and returns it as a secret, less one line end (LF or CRLF)
// at its end. A secret that cannot have been meant is a problem.Usage: a card
// counts a wrong PIN, and takes a new one as it comes. The rule is the same for
// every source and every kind of secret, so a password of several words has its
// blanks inside only.
func Meant(b []byte) (*Bytes, error) {
	b = withoutLineEnd(b)
	if err := refusal(b); err != nil {
		Wipe(b)
		return nil, err
	}
	return New(b), nil
}

// withoutLineEnd cuts one line end, and wipes nothing: what is cut is no secret.
func withoutLineEnd(b []byte) []byte {
	if cut, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		return bytes.TrimSuffix(cut, []byte("\r"))
	}
	return b
}

// byteOrderMarks begin what editors and shells of Windows save.
var byteOrderMarks = []string{"\xEF\xBB\xBF", "\xFF\xFE", "\xFE\xFF"}

// refusal is why b cannot have been meant, nil if it can. It does not repeat b.
func refusal(b []byte) error {
	for _, mark := range byteOrderMarks {
		if bytes.HasPrefix(b, []byte(mark)) {
			return unmeant("it begins with a byte-order mark", "A secret must be saved as UTF-8 without such a mark, or as plain ASCII.")
		}
	}
	switch {
	case len(b) == 0:
		return problem.New(problem.Usage, "it is empty")
	case len(b) > MaxLength:
		return errTooLong
	case bytes.IndexFunc(b, lineEnd) >= 0:
		return unmeant("it has more than one line", "A secret is a single line, with at most one line ending.")
	case !utf8.Valid(b):
		return unmeant("it is not UTF-8", "A secret must be text in UTF-8 or plain ASCII.")
	case bytes.Contains(b, []byte(string(utf8.RuneError))):
		return unmeant("it contains the replacement character", "A program wrote that character instead of one that it could not read.")
	case bytes.IndexFunc(b, unicode.IsControl) >= 0:
		return unmeant("it contains a control character", "A control character, such as NUL or a tab, cannot be typed where the card asks for the secret.")
	case bytes.IndexFunc(b, invisible) >= 0:
		return unmeant("it contains an invisible character", "Such a character may have been copied along with the secret.")
	}
	first, _ := utf8.DecodeRune(b)
	last, size := utf8.DecodeLastRune(b)
	switch {
	case blank(first) || blank(last):
		return unmeant("it has spaces around it", "A secret must not begin or end with a space.")
	case size < len(b) && quotes(first, last):
		return unmeant("it has quotes around it", "A secret must be given without quotes.")
	}
	return nil
}

func unmeant(what, why string) error {
	return problem.New(problem.Usage, "%s", what).Because("%s", why)
}

// Unmeant reports whether a character cannot have been meant in a line that a person typed,
// such as a name: a line end, a control character, one that is not seen, or one that stands
// for a character that was lost.
func Unmeant(r rune) bool {
	return lineEnd(r) || unicode.IsControl(r) || invisible(r) || r == utf8.RuneError
}

func lineEnd(r rune) bool { return r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' }

// invisible characters are what text that is copied from a page or a dialog
// brings along (Unicode's category Cf, and fillers). Two of them join letters, and
// people type them.
func invisible(r rune) bool {
	const joiner, nonJoiner = '\u200D', '\u200C'
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point) && r != joiner && r != nonJoiner
}

func blank(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

// quotes reports whether two characters are a pair of quotes.
func quotes(first, last rune) bool {
	switch first {
	case '"', '\'', '`':
		return last == first
	case '“', '„', '”':
		return last == '”' || last == '“'
	case '‘', '‚', '’':
		return last == '’' || last == '‘'
	case '«':
		return last == '»'
	case '»':
		return last == '«'
	}
	return false
}
