package sshagent_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	sshclient "golang.org/x/crypto/ssh/agent"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/sshagent"
	"github.com/cardctl/cardctl/test/softtoken"
)

// framed is a message with its length.
func framed(message ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

// served is what a desk answers to bytes, and how Serve ends.
func served(t testing.TB, d *sshagent.Desk, input []byte) ([]byte, error) {
	t.Helper()
	var output bytes.Buffer
	err := sshagent.Serve(t.Context(), struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(input), &output}, d, agent.Client{})
	return output.Bytes(), err
}

func TestHostileMessages(t *testing.T) {
	d := sshagent.NewDesk(softtoken.New(card("1", keyOf("K", edKey(t)))), sshagent.Options{})
	refused := framed(5)
	for name, test := range map[string]struct {
		input, answer []byte
		ends          bool // with an error
	}{
		"nothing":               {},
		"half a length":         {input: []byte{0, 0}, ends: true},
		"no message":            {input: framed(), ends: true},
		"too long":              {input: []byte{0, 4, 0, 1}, ends: true},
		"as long as it gets":    {input: []byte{0xFF, 0xFF, 0xFF, 0xFF, 11}, ends: true},
		"cut":                   {input: []byte{0, 0, 0, 2, 11}, ends: true},
		"longest":               {input: framed(bytes.Repeat([]byte{1}, 256<<10)...), answer: refused},
		"unknown":               {input: framed(200), answer: refused},
		"an answer":             {input: framed(12, 0, 0, 0, 0), answer: refused},
		"sign nothing":          {input: framed(13), answer: refused},
		"sign with a long key":  {input: framed(13, 0xFF, 0xFF, 0xFF, 0xFF), answer: refused},
		"sign with empty key":   {input: framed(13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), answer: refused},
		"sign without flags":    {input: framed(13, 0, 0, 0, 0, 0, 0, 0, 0), answer: refused},
		"lock without a length": {input: framed(22), answer: refused},
		"lock and more":         {input: framed(22, 0, 0, 0, 1, 'a', 0), answer: refused},
		"unlock":                {input: framed(23, 0, 0, 0, 1, 'a'), answer: refused},
		"extension":             {input: framed(27), answer: refused},
		"extension, long name":  {input: framed(27, 0, 1, 0, 0), answer: refused},
		"two messages":          {input: append(framed(200), framed(201)...), answer: append(refused, refused...)},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := served(t, d, test.input)
			if !bytes.Equal(answer, test.answer) || (err != nil) != test.ends {
				t.Errorf("%x, %v; want %x", answer, err, test.answer)
			}
		})
	}
}

func TestNoMemoryForAClaim(t *testing.T) {
	d := sshagent.NewDesk(softtoken.New(), sshagent.Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 1000 {
		if _, err := served(t, d, []byte{0, 4, 0, 0, 11}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if taken := (after.TotalAlloc - before.TotalAlloc) / 1000; taken > 16<<10 {
		t.Errorf("%d bytes for a message of 256 KiB that did not come", taken)
	}
}

// TestSlowClients has clients that stop in a message, or do not read, and one that has
// nothing to ask for a day.
func TestSlowClients(t *testing.T) {
	for name, test := range map[string]struct {
		sends []byte
		idle  bool
	}{
		"half a message":  {sends: []byte{0, 0, 0, 9, 11}},
		"half a length":   {sends: []byte{0}},
		"reads no answer": {sends: framed(11)},
		"idle":            {idle: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, end := connect(t, sshagent.NewDesk(softtoken.New(), sshagent.Options{}))
				if _, err := conn.Write(test.sends); err != nil {
					t.Fatal(err)
				}
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				select {
				case err := <-end:
					var timeout net.Error
					if test.idle || !errors.As(err, &timeout) || !timeout.Timeout() {
						t.Errorf("ended: %v", err)
					}
				default:
					if !test.idle {
						t.Error("still served")
					}
				}
			})
		})
	}
}

func TestManyConnections(t *testing.T) {
	d := sshagent.NewDesk(softtoken.New(card("1", keyOf("K", edKey(t)))), sshagent.Options{})
	for range 2000 { // each claims a message that does not come
		conn, _ := connect(t, d)
		if _, err := conn.Write([]byte{0, 4, 0, 0, 11}); err != nil {
			t.Fatal(err)
		}
	}
	var wait sync.WaitGroup
	for range 200 {
		c := client(t, d)
		wait.Go(func() {
			keys, err := c.List()
			if err != nil || len(keys) != 1 {
				t.Errorf("%v, %v", keys, err)
				return
			}
			if _, err := c.Sign(keys[0], []byte("data")); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// TestRemovedWhileUsed takes a card out and puts it in again while clients use it.
func TestRemovedWhileUsed(t *testing.T) {
	token := card("1", keyOf("K", edKey(t)))
	desk := softtoken.New(token)
	d := sshagent.NewDesk(desk, sshagent.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for range 8 {
		c := client(t, d)
		wait.Go(func() {
			for ctx.Err() == nil {
				keys, err := c.List()
				if err != nil {
					t.Error(err)
					return
				}
				for _, k := range keys {
					_, _ = c.Sign(k, []byte("data")) // the card may be gone by now
				}
			}
		})
	}
	for range 100 {
		desk.Remove(token)
		token = card("1", keyOf("K", edKey(t)))
		desk.Insert(token)
		time.Sleep(time.Millisecond)
	}
	cancel()
	wait.Wait()
	c := client(t, d)
	keys, err := c.List()
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	if _, err := c.Sign(keys[0], []byte("data")); err != nil {
		t.Error(err)
	}
}

// waiting is a key that waits for a person until the use is given up.
type waiting struct {
	*softtoken.Key

	begun, over chan struct{}
}

func (w waiting) Sign(ctx context.Context, _ agent.Client, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	close(w.begun)
	<-ctx.Done()
	close(w.over)
	return nil, ctx.Err()
}

// asking is a token with such a key.
type asking struct {
	*softtoken.Token

	key agent.Key
}

func (a asking) Keys(context.Context) ([]agent.Key, error) { return []agent.Key{a.key}, nil }

// asks is a desk with such a token.
type asks struct {
	*softtoken.Desk

	token agent.Token
}

func (a asks) All(context.Context) ([]agent.Token, error) { return []agent.Token{a.token}, nil }

// Nobody is asked for the PIN any longer for a client that hung up.
func TestHangsUpWhileAsked(t *testing.T) {
	k := waiting{keyOf("K", edKey(t)), make(chan struct{}), make(chan struct{})}
	desk := asks{softtoken.New(), asking{card("1", k.Key), k}}
	conn, end := connect(t, sshagent.NewDesk(desk, sshagent.Options{Log: func(err error) { t.Error(err) }}))
	public, err := ssh.NewPublicKey(k.What.Public)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = sshclient.NewClient(conn).Sign(public, []byte("data")) }() // it is not answered
	<-k.begun
	_ = conn.Close() // a pipe's does not fail
	<-k.over
	if err := <-end; err != nil {
		t.Error(err)
	}
}
