//go:build stack

package windows

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// testRelay looks at the relay itself: a card that is idle within a transaction is reset
// after five seconds, and only there.
func testRelay(t *testing.T, m *machine) {
	d := m.desk(t)
	d.Card("ruled", 0)
	line, err := net.Dial("tcp", m.relay.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = line.Close() }()
	ask := func(c call, in []byte) answer {
		t.Helper()
		c.Size = uint32(len(in))
		if err := binary.Write(line, binary.LittleEndian, c); err != nil {
			t.Fatal(err)
		}
		if _, err := line.Write(in); err != nil {
			t.Fatal(err)
		}
		var said answer
		if err := binary.Read(line, binary.LittleEndian, &said); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, line, int64(said.Size)); err != nil {
			t.Fatal(err)
		}
		return said
	}
	selectCard := []byte{0x00, 0xA4, 0x04, 0x00, 0x06, 0xD2, 0x76, 0x00, 0x01, 0x24, 0x01}
	ask(call{Function: establish}, nil)
	card := ask(call{Function: connect, A: 2, B: 3}, wide(stack.ReaderName(0))).X
	for _, step := range []struct {
		what  string
		ask   call
		in    []byte
		after time.Duration
		want  uint32
	}{
		{"idle without a transaction", call{Function: transmit, A: card, B: 2}, selectCard, idleTime + time.Second, success},
		{"a transaction", call{Function: begin, A: card}, nil, 0, success},
		{"nearly idle", call{Function: transmit, A: card, B: 2}, selectCard, idleTime - time.Second, success},
		{"idle", call{Function: transmit, A: card, B: 2}, selectCard, idleTime + time.Second, resetCard},
		{"until it is connected again", call{Function: begin, A: card}, nil, 0, resetCard},
		{"connected again", call{Function: reconnect, A: card, B: 2, C: 3}, nil, 0, success},
		{"used again", call{Function: transmit, A: card, B: 2}, selectCard, 0, success},
		{"done", call{Function: disconnect, A: card}, nil, 0, success},
	} {
		time.Sleep(step.after)
		if got := ask(step.ask, step.in).Code; got != step.want {
			t.Errorf("%s: %08X, want %08X", step.what, got, step.want)
		}
	}
	if resets := m.relay.resets.Swap(0); resets != 1 {
		t.Errorf("%d resets, want 1", resets)
	}
}
