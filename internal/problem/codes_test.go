package problem

import "testing"

func TestEveryCodeHasAdvice(t *testing.T) {
	for _, m := range Codes() {
		if m.When == "" || m.Advice == "" {
			t.Errorf("%s: when %q, advice %q", m.Code, m.When, m.Advice)
		}
	}
}
