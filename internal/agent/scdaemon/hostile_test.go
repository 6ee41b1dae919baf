package scdaemon_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/scdaemon"
	"github.com/cardctl/cardctl/test/softtoken"
)

func TestHostileLines(t *testing.T) {
	c := connect(t, softtoken.New(openPGP(t)), scdaemon.Options{})
	c.fails("SETDATA "+strings.Repeat("00", 100000), 263)
	c.fails(strings.Repeat("x", 999), 275)
	c.fails(strings.Repeat("x", 1000), 263)
	c.fails("NOP\x00", 276)
	c.fails("\xff\xfe", 275)
	c.says("NOP\r", "OK")
	for _, command := range []string{"SETDATA", "SETDATA --append", "SETDATA 0", "SETDATA 0g", "SETDATA 00 11", "PKSIGN --hash=sha256", "PKAUTH", "PKDECRYPT", "PKSIGN --hash= OPENPGP.1", "PKAUTH --", "READCERT --", "GETINFO --version"} {
		c.fails(command, 280)
	}
	c.fails("PKDECRYPT OPENPGP.1", 58)
	c.fails("GETATTR SERIALNO 00", 9)
}

func TestDataHaveALimit(t *testing.T) {
	c := connect(t, softtoken.New(openPGP(t)), scdaemon.Options{})
	part := strings.Repeat("00", 400)
	for range 10 {
		c.says("SETDATA --append "+part, "OK")
	}
	for range 1000 {
		c.fails("SETDATA --append "+part, 67)
	}
	c.says("SETDATA "+part, "OK")
}

func TestHostileTexts(t *testing.T) {
	token := openPGP(t)
	token.What = agent.About{Number: 1, Label: "two\nlines\r\x00 " + strings.Repeat("%", 2000), Serial: "\n", Reader: strings.Repeat("r\n", 1000)}
	c := connect(t, softtoken.New(token), scdaemon.Options{})
	for _, command := range []string{"SERIALNO", "LEARN --force", "GETATTR DISP-NAME", "GETATTR $DISPSERIALNO", "GETINFO reader_list"} {
		for i, line := range c.ask(command) {
			if !strings.HasPrefix(line, "S ") && !strings.HasPrefix(line, "D ") && line != "OK" {
				t.Errorf("%s: line %d is %q", command, i, line)
			}
		}
	}
}

// silent is a client that says one thing and never reads.
type silent struct {
	io.Reader
	closed chan struct{}
}

func (s silent) Write([]byte) (int, error) {
	<-s.closed
	return 0, net.ErrClosed
}

func TestAClientThatNeverReads(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := silent{strings.NewReader("LEARN --force\n"), make(chan struct{})}
	ended := make(chan error)
	go func() { ended <- scdaemon.Serve(ctx, s, softtoken.New(openPGP(t)), gpgAgent, scdaemon.Options{}) }()
	cancel()
	close(s.closed)
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestTheEndOfTheContext(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- scdaemon.Serve(ctx, theirs, softtoken.New(), gpgAgent, scdaemon.Options{}) }()
	if _, err := ours.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// asking is a card whose keys ask somebody who does not answer.
type asking struct {
	agent.Token
	asked, cancelled chan struct{}
}

func (a asking) Keys(ctx context.Context) ([]agent.Key, error) {
	keys, err := a.Token.Keys(ctx)
	for i := range keys {
		keys[i] = askingKey{keys[i], a}
	}
	return keys, err
}

type askingKey struct {
	agent.Key
	a asking
}

func (k askingKey) Sign(ctx context.Context, _ agent.Client, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	close(k.a.asked)
	<-ctx.Done()
	close(k.a.cancelled)
	return nil, ctx.Err()
}

// one is a desk with one card.
type one struct {
	*softtoken.Desk
	card agent.Token
}

func (o one) All(context.Context) ([]agent.Token, error) { return []agent.Token{o.card}, nil }

func TestAClientThatHangsUpIsNotWaitedFor(t *testing.T) {
	a := asking{openPGP(t), make(chan struct{}), make(chan struct{})}
	c := connect(t, one{softtoken.New(), a}, scdaemon.Options{})
	c.set(make([]byte, 32))
	c.send("PKSIGN --hash=sha256 OPENPGP.1")
	<-a.asked
	_ = c.conn.Close()
	select {
	case <-a.cancelled:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
	if err := c.ends(); err == nil {
		t.Error("the answer had no reader, and there is no error")
	}
}

func TestCommandsInAdvance(t *testing.T) {
	c := connect(t, softtoken.New(openPGP(t)), scdaemon.Options{})
	const n = 100
	go func() { _, _ = io.WriteString(c.conn, strings.Repeat("NOP\n", n)) }() // what fails is not answered
	for range n {
		if got := c.line(); got != "OK" {
			t.Fatal(got)
		}
	}
}

func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	desk := softtoken.New(openPGP(t))
	for range 50 {
		c := connect(t, desk, scdaemon.Options{Signal: func(int, int) error { return nil }})
		c.says("OPTION event-signal=12", "OK")
		c.send("DEVINFO --watch")
		c.line()
		_ = c.conn.Close()
		_ = c.ends()
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%d goroutines, there were %d", runtime.NumGoroutine(), before)
}

// scripted is a client that says everything at once.
type scripted struct {
	io.Reader
	*bytes.Buffer
}

func (s scripted) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func FuzzServe(f *testing.F) {
	for _, seed := range []string{
		"SERIALNO --all\nLEARN --force\nGETINFO card_list\nBYE\n",
		"SERIALNO --demand=" + aid + " openpgp\nREADKEY --info -- OPENPGP.1\nREADCERT OPENPGP.3\n",
		"SETDATA 3031300D060960864801650304020105000420" + strings.Repeat("00", 32) + "\nPKSIGN --hash=sha256 OPENPGP.1\nPKAUTH OPENPGP.3\n",
		"SETDATA 04\nSETDATA --append " + strings.Repeat("11", 64) + "\nPKDECRYPT OPENPGP.2\nPKDECRYPT OPENPGP.1\n",
		"GETATTR KEY-ATTR\nGETATTR $AUTHKEYID\nGETATTR KEY-FPR " + strings.Repeat("0", 40) + "\nSETATTR a b\n",
		"KEYINFO --list=auth --data\nDEVINFO --watch\nNOP\nOPTION event-signal=12\nRESTART\nHELP\nCHECKPIN " + aid + "\n",
		"SERIALNO p15\nLEARN\nREADCERT PKCS15.45\n" + strings.Repeat("x", 2000) + "\n\x00\n#\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	desk := softtoken.New(openPGP(f), other(f))
	f.Fuzz(func(t *testing.T, script []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s := scripted{bytes.NewReader(script), &bytes.Buffer{}}
		if err := scdaemon.Serve(ctx, s, desk, agent.Client{}, scdaemon.Options{}); err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(s.Bytes()) {
			word, _, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
			if len(line) > 1000 || !strings.Contains(" OK ERR S D # ", " "+string(word)+" ") {
				t.Fatalf("%q", line)
			}
		}
	})
}
