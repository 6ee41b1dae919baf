//go:build stack

package agent_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/scdaemon"
	"github.com/cardctl/cardctl/test/softtoken"
)

// cardsVariable has, for a process that GnuPG starts as its scdaemon, the file with the
// cards.
const cardsVariable = "CARDCTL_TEST_CARDS"

// storedCard is a card in that file, storedKey a key of it.
type storedCard struct {
	About agent.About
	Has   map[uint32][]byte
	Keys  []storedKey
}

type storedKey struct {
	About   agent.KeyAbout
	PKCS8   []byte
	private interface{ Public() crypto.PublicKey }
}

// storeCards writes the file.
func storeCards(t *testing.T, file string, cards ...storedCard) {
	t.Helper()
	for _, c := range cards {
		for i := range c.Keys {
			var err error
			if c.Keys[i].PKCS8, err = x509.MarshalPKCS8PrivateKey(c.Keys[i].private); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := json.Marshal(cards)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readCards(file string) (tokens []*softtoken.Token, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var cards []storedCard
	if err := json.Unmarshal(text, &cards); err != nil {
		return nil, err
	}
	for _, c := range cards {
		token := &softtoken.Token{What: c.About, Has: c.Has}
		for _, k := range c.Keys {
			private, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
			if err != nil {
				return nil, err
			}
			k.About.Public = private.(interface{ Public() crypto.PublicKey }).Public()
			token.With(&softtoken.Key{Private: private, What: k.About})
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// takeOut takes all cards out at each SIGHUP.
func takeOut(desk *softtoken.Desk, tokens []*softtoken.Token) {
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	go func() {
		for range hangUps {
			for _, t := range tokens {
				desk.Remove(t)
			}
		}
	}()
}

// serveGnuPG is a scdaemon: one client on standard input and output, more on a socket beside
// the file. It returns the exit status.
func serveGnuPG(file string) int {
	tokens, err := readCards(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	desk := softtoken.New(tokens...)
	takeOut(desk, tokens)
	o := scdaemon.Options{
		Version: "2.99.0", Socket: filepath.Join(filepath.Dir(file), "S.cards"),
		Signal: func(pid, number int) error { return syscall.Kill(pid, syscall.Signal(number)) },
	}
	_ = os.Remove(o.Socket)
	listener, err := net.Listen("unix", o.Socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	by := agent.Client{Door: "scd", Name: "gpg-agent", PID: os.Getppid()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_ = scdaemon.Serve(context.Background(), conn, desk, by, o) // GnuPG reports what fails
			}()
		}
	}()
	if err := scdaemon.Serve(context.Background(), struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stdout}, desk, by, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
