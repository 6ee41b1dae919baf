package enroll

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/secret"
)

// jsonBody is an object of JSON that may have secrets in it. They are quoted here, so that
// no copy is left behind.
type jsonBody struct{ b []byte }

// add adds a member; what cannot be encoded is a mistake of the caller.
func (j *jsonBody) add(name string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	j.member(name, text)
}

func (j *jsonBody) member(name string, text []byte) {
	quoted, _ := json.Marshal(name)
	separator := byte(',')
	if len(j.b) == 0 {
		separator = '{'
	}
	longer := make([]byte, 0, len(j.b)+len(quoted)+len(text)+3)
	longer = append(append(append(append(append(longer, j.b...), separator), quoted...), ':'), text...)
	secret.Wipe(j.b)
	j.b = longer
}

// addSecret adds a member that is a string (RFC 8259, 7).
func (j *jsonBody) addSecret(name string, value *secret.Bytes) {
	const longest = 6 // \u0000
	text := make([]byte, 0, longest*value.Len()+2)
	text = append(text, '"')
	for rest := value.Reveal(); len(rest) > 0; {
		c, n := utf8.DecodeRune(rest)
		switch {
		case c == '"' || c == '\\':
			text = append(text, '\\', byte(c))
		case c < ' ':
			text = fmt.Appendf(text, "\\u%04x", c)
		default:
			text = append(text, rest[:n]...)
		}
		rest = rest[n:]
	}
	j.member(name, append(text, '"'))
	secret.Wipe(text)
}

// bytes is the whole object, for wipe to wipe.
func (j *jsonBody) bytes() []byte {
	j.b = append(j.b, '}')
	return j.b
}

func (j *jsonBody) wipe() { secret.Wipe(j.b) }

// postJSON posts an object, and decodes the object that comes back as far as it is one.
func (r *remote) postJSON(ctx context.Context, m message, body *jsonBody, answer any) (reply, error) {
	if m.header == nil {
		m.header = http.Header{}
	}
	m.header.Set("Content-Type", "application/json")
	m.header.Set("Accept", "application/json")
	m.method, m.body = http.MethodPost, body.bytes()
	defer body.wipe()
	got, err := r.do(ctx, m)
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal(bytes.TrimSpace(got.body), answer); err != nil && got.status < http.StatusMultipleChoices && len(got.body) > 0 {
		return got, r.wrong("It is not the JSON that was expected.")
	}
	return got, nil
}

// readJSON reads an answer that has to be JSON.
func (r *remote) readJSON(a reply, into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return r.wrong("It is not the JSON that was expected.")
	}
	return nil
}
