package output

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestBarLine(t *testing.T) {
	for name, c := range map[string]struct {
		done, total int
		elapsed     time.Duration
		want        string
	}{
		"nothing yet":     {0, 19749, time.Second, "loading [........................] 0 of 19749 bytes"},
		"a quarter":       {5000, 20000, 10 * time.Second, "loading [######..................] 5000 of 20000 bytes, 30s left"},
		"all":             {20000, 20000, time.Minute, "loading [########################] 20000 of 20000 bytes, 0s left"},
		"a minute left":   {100, 200, 90 * time.Second, "loading [############............] 100 of 200 bytes, 1m30s left"},
		"more than all":   {300, 200, time.Second, "loading [########################] 300 of 300 bytes, 0s left"},
		"no size at all":  {0, 0, time.Second, "loading [........................] 0 of 1 bytes"},
		"less than zero":  {-1, 10, time.Second, "loading [........................] 0 of 10 bytes"},
		"the widest ever": {1 << 20, 16 << 20, 24 * time.Hour, "loading [#.......................] 1048576 of 16777216 bytes, 360h0m0s left"},
	} {
		t.Run(name, func(t *testing.T) {
			got := barLine("loading", c.done, c.total, c.elapsed)
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if utf8.RuneCountInString(got) > Width {
				t.Errorf("wider than %d: %q", Width, got)
			}
		})
	}
}

func TestBar(t *testing.T) {
	var plain bytes.Buffer
	p := NewProgress(&plain, false)
	p.Show("looking")
	for done := 0; done <= 1000; done += 100 {
		p.Bar("loading", done, 1000)
	}
	p.Bar("loading more", 0, 1000)
	p.Done()
	if plain.String() != "looking\nloading\nloading more\n" {
		t.Errorf("got %q", plain.String())
	}

	var live bytes.Buffer
	p = NewProgress(&live, true)
	p.Show("looking")
	p.Bar("loading", 0, 1000)
	p.Bar("loading", 500, 1000)
	p.Show("checking")
	p.Done()
	got := live.String()
	for _, want := range []string{"looking", "loading [....", "500 of 1000 bytes, 0s left" + clearLine, "checking"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if !strings.HasSuffix(got, clearLine) {
		t.Errorf("it ends with %q", got)
	}
}
