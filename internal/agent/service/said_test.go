package service

import "testing"

// An agent that does not start in the background tells what one in the foreground does.
func TestLastError(t *testing.T) {
	for written, want := range map[string]string{
		"a note\nError: agent: listen on ssh: ssh is not a socket\nTry: cardctl info\n":                    "listen on ssh: ssh is not a socket",
		"Error: agent: listen on ssh\nOthers can write to it.\nTry: cardctl info\n":                        "listen on ssh: Others can write to it.",
		`{"code":"refused","exit":9,"message":"agent: listen on ssh: not a socket","hint":"cardctl info"}`: "listen on ssh: not a socket",
		"": "",
	} {
		if got := lastError(written); got != want {
			t.Errorf("%q: %q", written, got)
		}
	}
}
