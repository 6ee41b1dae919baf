package secret

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/problem"
)

// unmeantSecrets are what no source may hand on, by what is wrong with it.
var unmeantSecrets = map[string]string{
	"two line ends":             "648219\n\n",
	"two of DOS":                "648219\r\n\r\n",
	"two lines":                 "648219\n739158\n",
	"two lines without an end":  "648219\n739158",
	"lines of old Macs":         "648219\r739158",
	"a carriage return":         "648219\r",
	"a line separator":          "648219\u2028739158",
	"a paragraph separator":     "648219\u2029",
	"a line end in front":       "\n648219",
	"a byte-order mark":         "\uFEFF648219\r\n",
	"a byte-order mark alone":   "\uFEFF",
	"a byte-order mark inside":  "648\uFEFF219",
	"UTF-16":                    "\xFF\xFE6\x004\x008\x002\x001\x009\x00",
	"UTF-16, the other way":     "\xFE\xFF\x006\x004\x008\x002\x001\x009",
	"UTF-16 without a mark":     "6\x004\x008\x002\x001\x009\x00",
	"NUL":                       "648219\x00",
	"a tab":                     "648\t219",
	"an escape":                 "648219\x1b[D",
	"a backspace":               "648218\b9",
	"DEL":                       "648219\x7f",
	"C1":                        "648219\u009b",
	"Latin-1":                   "stra\xdfe",
	"half a character":          "stra\xc3",
	"a surrogate":               "a\xed\xa0\x80b",
	"a blank in front":          " 648219",
	"a blank behind":            "648219 \n",
	"a fixed blank":             "648219\u00a0",
	"an ideographic blank":      "\u3000648219",
	"a zero-width blank":        "648219\u200b",
	"a zero-width blank inside": "648\u200b219",
	"a joiner at the end":       "648219\u200d",
	"a filler":                  "648\u3164219",
	"a character that is lost":  "stra\uFFFDe",
	"a mark of direction":       "\u200e648219",
	"an override of direction":  "648\u202e219",
	"only blanks":               "   ",
	"quotes":                    `"648219"`,
	"single quotes":             "'648219'\n",
	"backquotes":                "`648219`",
	"quotes of a text program":  "“648219”",
	"quotes in German":          "„648219“",
	"quotes in French":          "«648219»",
	"only quotes":               `""`,
	"nothing":                   "",
	"a line end":                "\n",
}

func TestMeant(t *testing.T) {
	for name, text := range unmeantSecrets {
		b := []byte(text)
		s, err := Meant(b)
		if !problem.Is(err, problem.Usage) || s != nil {
			t.Errorf("%s: %q, %v", name, s.Reveal(), err)
			continue
		}
		if said := err.Error(); strings.Contains(said, "648") || strings.Contains(said, "stra") {
			t.Errorf("%s: repeated in %q", name, said)
		}
		if kept := withoutLineEnd(b); bytes.Trim(kept, "\x00") != nil && len(bytes.Trim(kept, "\x00")) > 0 {
			t.Errorf("%s: %q is left in memory", name, kept)
		}
	}
	for text, want := range map[string]string{
		"648219": "648219", "648219\n": "648219", "648219\r\n": "648219",
		"correct horse battery": "correct horse battery", "straße": "straße", `it"s`: `it"s`, `"`: `"`, `"a`: `"a`, "a'": "a'",
		"می\u200cخواهم": "می\u200cخواهم", "1\u00a02": "1\u00a02",
		strings.Repeat("x", MaxLength) + "\r\n": strings.Repeat("x", MaxLength),
	} {
		if s, err := Meant([]byte(text)); err != nil || string(s.Reveal()) != want {
			t.Errorf("%q is read as %q, %v", text, s.Reveal(), err)
		}
	}
	if _, err := Meant(bytes.Repeat([]byte("x"), MaxLength+1)); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

// FuzzMeant reads arbitrary bytes: a secret is what was given, less one line end,
// and text on one line.
func FuzzMeant(f *testing.F) {
	for _, text := range unmeantSecrets {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, given []byte) {
		s, err := Meant(bytes.Clone(given))
		if err != nil {
			if !problem.Is(err, problem.Usage) || s != nil {
				t.Errorf("%q: %v", given, err)
			}
			return
		}
		got := s.Reveal()
		rest, ok := bytes.CutPrefix(given, got)
		if end := string(rest); !ok || end != "" && end != "\n" && end != "\r\n" {
			t.Errorf("%q is read as %q", given, got)
		}
		if len(got) == 0 || !utf8.Valid(got) || bytes.ContainsAny(got, "\x00\r\n") || !bytes.Equal(bytes.TrimSpace(got), got) {
			t.Errorf("%q is a secret", got)
		}
	})
}
