package problem

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
)

func TestSentence(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"the card gave up":          "The card gave up.",
		"Really?":                   "Really?",
		"key.pem: no such file":     "key.pem: no such file.",
		"x509: malformed extension": "x509: malformed extension.",
	} {
		if got := Sentence(text); got != want {
			t.Errorf("Sentence(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestExplained(t *testing.T) {
	refused := New(Refused, "not confirmed").Because("The answer was no.").Advise(advice.Repeat())
	for _, test := range []struct {
		name string
		err  error
		ok   bool
		want string
		code Code
	}{
		{name: "nothing", ok: true},
		{name: "interruption", err: context.Canceled, ok: true, want: "context canceled. All is as it was."},
		{name: "problem", err: fmt.Errorf("deep: %w", refused), ok: true, want: "init: not confirmed: The answer was no. All is as it was.", code: Refused},
		{name: "another error", err: errors.New("6F00"), want: "6F00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := Explained(test.err, "init", "All is as it was.")
			switch {
			case ok != test.ok:
				t.Errorf("enough: %v, want %v", ok, test.ok)
			case test.want == "" && got != nil, test.want != "" && got.Error() != test.want:
				t.Errorf("%v, want %s", got, test.want)
			case test.err != nil && !errors.Is(got, test.err) && !errors.Is(got, refused):
				t.Errorf("%v is not %v any more", got, test.err)
			case test.code != "" && !Is(got, test.code):
				t.Errorf("%v has not the code %s", got, test.code)
			}
		})
	}
}
