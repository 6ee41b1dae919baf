package secret

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestParseSource(t *testing.T) {
	for _, s := range []string{"env:NAME", "env:_a1", "file:/a b:c", "file:relative", "fd:3", "stdin", "pinentry", "prompt"} {
		source, err := ParseSource(s)
		if err != nil || source.String() != s {
			t.Errorf("%q: %v, %v", s, source, err)
		}
	}
	source, err := ParseSource("command:pass show --token=hush")
	if err != nil || source.String() != "command" || source.argument != "pass show --token=hush" {
		t.Errorf("command: %v, %v", source, err)
	}
}

// What is not a source may be the secret.
func TestParseSourceRefusesValues(t *testing.T) {
	for _, s := range []string{
		"123456", "", "env:", "env:123456", "env:a-123456", "env", "fd:", "fd:x123456", "fd:-1", "fd:99999999", "file:", "file",
		"command:", "stdin:123456", "prompt:123456", "pinentry:", "STDIN", " stdin", "Env:NAME", ":", "pass:123456", "file:a\x00123456",
	} {
		source, err := ParseSource(s)
		if !problem.Is(err, problem.Usage) || source != (Source{}) {
			t.Errorf("%q: %v, %v", s, source, err)
			continue
		}
		var p *problem.Error
		errors.As(err, &p)
		text := fmt.Sprintf("%v %+v", err, p)
		if strings.Contains(text, "123456") {
			t.Errorf("%q is repeated in %q", s, text)
		}
		if !strings.Contains(p.Why, "Valid sources: env:NAME, file:PATH, fd:N, stdin, command:CMD, pinentry, prompt.") {
			t.Errorf("%q: %q does not list the sources", s, p.Why)
		}
	}
}

func FuzzParseSource(f *testing.F) {
	f.Add("env:A")
	f.Add("123456")
	f.Fuzz(func(t *testing.T, s string) {
		source, err := ParseSource(s)
		if err == nil && source.kind != kindCommand && source.kind != kindFD && source.String() != s {
			t.Errorf("%q became %q", s, source)
		}
		if err != nil && source != (Source{}) {
			t.Errorf("%v beside %v", source, err)
		}
	})
}

func TestFlag(t *testing.T) {
	var f Flag
	if source, err := f.Source(PIN); err != nil || source != (Source{}) {
		t.Errorf("not set: %v, %v", source, err)
	}
	if err := f.Set("123456"); err != nil {
		t.Errorf("Set: %v", err)
	}
	_, err := f.Source(AdminPIN)
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Usage || !reflect.DeepEqual(p.Next, advice.Repeat(advice.Ask(AdminPIN))) {
		t.Errorf("%+v", p)
	}
	if s := f.String() + err.Error(); strings.Contains(s, "123456") {
		t.Errorf("the value is in %q", s)
	}
	if err := f.Set("fd:3"); err != nil || f.String() != "fd:3" {
		t.Errorf("%v, %q", err, f.String())
	}
	if source, err := f.Source(PIN); err != nil || source.fd != 3 {
		t.Errorf("%v, %v", source, err)
	}
}

// A word in place of a source is taken by the flag that knows it, and by no
// other.
func TestFlagWellKnown(t *testing.T) {
	var keys, pin Flag
	keys.Words = []string{"default"}
	for _, f := range []*Flag{&keys, &pin} {
		if err := f.Set("default"); err != nil {
			t.Fatal(err)
		}
	}
	if source, err := keys.Source(CardKeys); err != nil || source != (Source{}) || keys.Word() != "default" || keys.String() != "default" {
		t.Errorf("%v, %v, %v", source, err, keys.String())
	}
	if _, err := pin.Source(PIN); !problem.Is(err, problem.Usage) || pin.Word() != "" {
		t.Errorf("a PIN called default: %v", err)
	}
	for _, value := range []string{"404142434445464748494A4B4C4D4E4F", "Default", "default:", ""} {
		_ = keys.Set(value)
		_, err := keys.Source(CardKeys)
		var p *problem.Error
		if !errors.As(err, &p) || keys.Word() != "" || !strings.Contains(p.Reason(), "default") || strings.Contains(fmt.Sprint(err, p.Next), "4041") {
			t.Errorf("%q: %v", value, err)
		}
	}
	if _ = keys.Set("env:KEYS"); keys.Word() != "" || keys.String() != "env:KEYS" {
		t.Error("the last value does not count")
	}
}
