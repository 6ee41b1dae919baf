package secret

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// locked is how much memory of the process is not swapped, in kB.
func locked(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(regexp.MustCompile(`VmLck:\s+(\d+)`).FindSubmatch(status)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What is kept is not swapped, and is given back when it is wiped.
func TestKept(t *testing.T) {
	before := locked(t)
	given := New([]byte("123456"))
	kept := given.Kept()
	given.Wipe()
	if !bytes.Equal(kept.Reveal(), []byte("123456")) || kept.Len() != 6 {
		t.Errorf("%q", kept.Reveal())
	}
	if now := locked(t); now != before+os.Getpagesize()/1024 {
		t.Errorf("%d kB are locked, %d before", now, before)
	}
	again := kept.Kept()
	kept.Wipe()
	kept.Wipe()
	if kept.Len() != 0 || !bytes.Equal(again.Reveal(), []byte("123456")) {
		t.Errorf("%q, %q", kept.Reveal(), again.Reveal())
	}
	again.Wipe()
	if now := locked(t); now != before {
		t.Errorf("%d kB are locked, %d before", now, before)
	}
	var none *Bytes
	if none.Kept() != nil || New(nil).Kept().Len() != 0 {
		t.Error("nothing is something")
	}
	long := bytes.Repeat([]byte("x"), os.Getpagesize()+1)
	if kept := New(long).Kept(); !bytes.Equal(kept.Reveal(), long) {
		t.Errorf("%d bytes", kept.Len())
	}
}
