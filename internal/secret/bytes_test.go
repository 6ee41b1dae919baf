package secret

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Whatever prints a secret prints none.
func TestBytesNeverPrint(t *testing.T) {
	s := New([]byte("canary"))
	holder := struct {
		PIN   *Bytes
		Value Bytes
	}{s, *s}
	text, err := json.Marshal(map[string]*Bytes{"pin": s})
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{string(text), s.String(), s.GoString(), fmt.Sprint(s), fmt.Sprint(fmt.Errorf("error: %v", s))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, s), fmt.Sprintf(verb, *s), fmt.Sprintf(verb, holder), fmt.Sprintf(verb, []*Bytes{s}))
	}
	for _, p := range printed {
		if strings.Contains(p, "canary") || strings.Contains(strings.ToLower(p), "63616e617279") || strings.Contains(p, "99 97 110") {
			t.Errorf("printed %q", p)
		}
	}
}

func TestWipe(t *testing.T) {
	b := []byte("12é4")
	s := New(b)
	if s.Len() != 5 || s.Characters() != 4 {
		t.Errorf("%d bytes, %d characters", s.Len(), s.Characters())
	}
	s.Wipe()
	s.Wipe()
	if string(b) != "\x00\x00\x00\x00\x00" || s.Len() != 0 {
		t.Errorf("%q is left", b)
	}
	var none *Bytes
	none.Wipe()
	if none.Len() != 0 || none.Reveal() != nil {
		t.Error("nil is not empty")
	}
}
