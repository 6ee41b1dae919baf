package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/agent"

	keeper "github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// agentDir has this program be an agent with sockets there.
const agentDir = "CARDCTL_TEST_AGENT"

func TestMain(m *testing.M) {
	if sockets := os.Getenv(knocksAt); sockets != "" {
		knockAt(sockets)
		return
	}
	dir := os.Getenv(agentDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s := service.New(keeper.New(keeper.Options{Desk: noDesk(), Idle: time.Second}), service.Options{
		Dir: dir, Ready: func(map[string]string) error { return nil },
	})
	if err := s.Run(context.Background()); err != nil {
		_, _ = os.Stderr.WriteString("Error: " + err.Error() + "\n")
		os.Exit(9)
	}
}

// noDesk is a desk without a card.
func noDesk() *desk.Desk {
	return &desk.Desk{
		Simulated: &desk.SimulatedStore{Dir: func() (string, error) { return "", errors.ErrUnsupported }},
		Meant:     desk.Selection{Reader: "sim:none"},
	}
}

// cards is a keeper of a simulated card with a key, whose PIN is asked for by ask.
func cards(t *testing.T, ask secret.Asker) *keeper.Keeper {
	t.Helper()
	dir := t.TempDir()
	if err := cardsim.NewStore(dir).Create("desk", cardsim.Options{Applications: []string{"openpgp"}}); err != nil {
		t.Fatal(err)
	}
	d := &desk.Desk{
		Simulated: &desk.SimulatedStore{Dir: func() (string, error) { return dir, nil }},
		Meant:     desk.Selection{Reader: "sim:desk"}, Identify: family.Serials,
		StateDir: func() (string, error) { return dir, nil },
	}
	admin := func(context.Context, secret.Request) (*secret.Bytes, error) {
		return secret.New([]byte("12345678")), nil
	}
	making := desk.Access{Now: time.Now, Notify: func(string) {}, Ask: admin}
	err := family.WithKey(t.Context(), d, "OPENPGP.3", making, func(ctx context.Context, _ family.At, k key.Key) error {
		_, err := k.Generate(ctx, key.Spec{Algorithm: "p256"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keeper.New(keeper.Options{
		Desk: d, Cache: time.Minute, Idle: time.Second, Access: desk.Access{Now: time.Now, Notify: func(string) {}, Ask: ask},
	})
}

// right is a person who knows the PIN.
func right(context.Context, secret.Request) (*secret.Bytes, error) {
	return secret.New([]byte("123456")), nil
}

// running is an agent that runs.
type running struct {
	t    *testing.T
	dir  string
	over chan error
}

// run runs an agent until the end of the test, or until it is stopped.
func run(t *testing.T, k *keeper.Keeper) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t, private(t), make(chan error, 1)}
	ready := make(chan struct{})
	s := service.New(k, service.Options{Dir: r.dir, Ready: func(map[string]string) error { close(ready); return nil }})
	go func() { r.over <- s.Run(ctx); close(r.over) }()
	<-ready
	t.Cleanup(func() {
		stop()
		r.ended()
	})
	return r
}

// ended waits for the end of the agent.
func (r *running) ended() {
	r.t.Helper()
	select {
	case err := <-r.over:
		if err != nil {
			r.t.Error(err)
		}
	case <-time.After(10 * time.Second):
		r.t.Fatal("the agent does not end")
	}
}

// private is a directory of its user.
func private(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent-") // the name of a socket is a short one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// connect connects to a door.
func (r *running) connect(door string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("unix", filepath.Join(r.dir, door))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask asks for something through the control socket.
func (r *running) ask(do string) (client.Answer, error) {
	ctx, stop := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer stop()
	return client.Ask(ctx, filepath.Join(r.dir, service.Control), client.Request{Do: do})
}

// status is what the agent tells of itself.
func (r *running) status() *client.Status {
	r.t.Helper()
	answer, err := r.ask(client.StatusOf)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.Status
}

// sign has the only key sign through the SSH door.
func (r *running) sign() error {
	door := agent.NewClient(r.connect(service.SSH))
	keys, err := door.List()
	if err != nil {
		return err
	}
	if len(keys) != 1 {
		return errors.New("not one key")
	}
	_, err = door.Sign(keys[0], []byte("a message"))
	return err
}

// A program is served, and the agent tells of it. Who stopped it finds no socket of it, and
// the cards released.
func TestRun(t *testing.T) {
	k := cards(t, right)
	r := run(t, k)
	if err := r.sign(); err != nil {
		t.Fatal(err)
	}
	s := r.status()
	if s.Clients != 1 || len(s.Cards) != 1 || s.Cards[0].Operations != 1 || !s.Cards[0].PINCached || !s.Cards[0].Held {
		t.Errorf("%+v", s)
	}
	if _, err := r.ask(client.Lock); err != nil {
		t.Error(err)
	}
	if s := r.status(); s.Cards[0].PINCached || s.Cards[0].Held {
		t.Errorf("%+v after lock", s)
	}
	if _, err := r.ask(client.Stop); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(r.dir); len(left) != 0 || err != nil {
		t.Errorf("%v, %v", left, err)
	}
	if s := k.Status(); len(s) != 0 {
		t.Errorf("%+v is not released", s)
	}
	r.ended()
}

// Programs without end, and programs that never read, keep nobody from stopping the agent.
func TestCrowd(t *testing.T) {
	r := run(t, cards(t, right))
	never := r.connect(service.SSH)
	flood := strings.Repeat("\x00\x00\x00\x01\x0b", 100_000) // lists of keys that are not read
	go func() { _, _ = io.WriteString(never, flood) }()
	if err := r.sign(); err != nil {
		t.Error(err)
	}
	for range 1100 {
		r.connect(service.P11)
	}
	for end := time.Now().Add(5 * time.Second); r.status().Clients < 1000 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if s := r.status(); s.Clients != 1000 {
		t.Errorf("%d clients", s.Clients)
	}
	if _, err := r.ask(client.Stop); err != nil {
		t.Error(err)
	}
	r.ended()
}

// An agent that is stopped while a person is asked does not wait for the person. Who stops
// it waits until it has done with the card.
func TestStopWhileAsked(t *testing.T) {
	asked := make(chan struct{})
	var done atomic.Bool
	r := run(t, cards(t, func(ctx context.Context, _ secret.Request) (*secret.Bytes, error) {
		close(asked)
		<-ctx.Done()
		time.Sleep(100 * time.Millisecond)
		done.Store(true)
		return nil, ctx.Err()
	}))
	signed := make(chan error, 1)
	go func() { signed <- r.sign() }()
	<-asked
	if _, err := r.ask(client.Stop); err != nil {
		t.Error(err)
	}
	if !done.Load() {
		t.Error("the agent has not done with the card")
	}
	r.ended()
	if err := <-signed; err == nil {
		t.Error("a signature without a PIN")
	}
}

// Two agents are not in one directory, and the second one leaves the first one's sockets.
func TestTwoAgents(t *testing.T) {
	r := run(t, cards(t, right))
	second := service.New(keeper.New(keeper.Options{Desk: noDesk(), Idle: time.Second}), service.Options{
		Dir: r.dir, Ready: func(map[string]string) error { return nil },
	})
	if err := second.Run(t.Context()); !problem.Is(err, problem.CardBusy) {
		t.Error(err)
	}
	if err := r.sign(); err != nil {
		t.Error(err)
	}
}
