package marionette

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestReadFrame(t *testing.T) {
	for sent, want := range map[string]error{
		"":            io.EOF,
		"2":           io.EOF,
		":{}":         errFrame,
		"-2:{}":       errFrame,
		"2 :{}":       errFrame,
		"2:{":         io.ErrUnexpectedEOF,
		"33554433:{}": errFrame, // 32 MiB and one byte
		"000000002:":  errFrame,
		"2:{}":        nil,
		"00000002:{}": nil,
		"0:":          nil,
	} {
		if text, err := readFrame(bufio.NewReader(strings.NewReader(sent))); !errors.Is(err, want) {
			t.Errorf("%q: %q, %v", sent, text, err)
		}
	}
}

// A peer that announces much and sends little does not get the memory.
func TestFrameTakesWhatIsSent(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := readFrame(bufio.NewReader(strings.NewReader("33554432:{}"))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes", used)
	}
}

func FuzzFrame(f *testing.F) {
	for _, seed := range []string{"2:{}", `18:[1,7,null,{"a":1}]`, `37:[1,7,{"error":"e","message":"m"},null]`, "00000000:", "99999999:", ":", "1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		text, err := readFrame(bufio.NewReader(bytes.NewReader(sent)))
		if err != nil {
			return
		}
		again, err := readFrame(bufio.NewReader(bytes.NewReader(newFrame(text))))
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q was written and read as %q, %v", text, again, err)
		}
		var result any
		_ = parseAnswer(text, 7, &result)
	})
}
