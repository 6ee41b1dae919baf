//go:build stack

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
)

// stationVariable has this program be a station, as a process of its own.
const stationVariable = "CARDCTL_BENCH_STATION"

// station is what such a process is told.
type station struct{ Name, Address, To string }

// runStation does rows until none is left. It says when it is ready, and begins when it is
// told to.
func runStation(told string) int {
	var s station
	err := json.Unmarshal([]byte(told), &s)
	if err == nil {
		err = s.run(context.Background(), os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (s station) run(ctx context.Context, begin io.Reader, ready io.Writer) error {
	to, err := ledger.Recipients([]string{s.To}, ledger.UI{})
	if err != nil {
		return err
	}
	l, err := ledger.Open(ctx, s.Address, ledger.Options{Station: s.Name})
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // every record is stored by then
	if _, err := fmt.Fprintln(ready); err != nil {
		return err
	}
	if _, err := bufio.NewReader(begin).ReadString('\n'); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := row(ctx, l, fmt.Sprintf("%s-%d", s.Name, n), to)
		if err != nil || !more {
			return err
		}
	}
}

// row does what the ledger sees of one row; it reports whether there was one.
func row(ctx context.Context, l *ledger.Ledger, serial string, to *ledger.Sealers) (bool, error) {
	x, err := l.Claim(ctx, "plan", serial)
	if err != nil || x == nil {
		return false, err
	}
	e, err := l.Begin(ctx, ledger.Change{Command: "provision", Serial: serial, Person: &x.Row.Person, State: ledger.Issuing, Lease: x})
	if err != nil {
		return false, err
	}
	id, err := e.SealTo(ctx, secret.PUK, ledger.KeepLedger, secret.New([]byte("12345678")), to)
	if err != nil {
		return false, err
	}
	for _, step := range []func() error{
		func() error { return e.Has(ctx, id) },
		func() error { return e.Certified(ctx, ledger.Credential{Ref: "K", SPKI: serial}) },
		func() error { return e.State(ctx, ledger.Active) },
		func() error { return e.End(ctx, nil) },
		func() error { return x.Done(ctx, true, "") },
	} {
		if err := step(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// stations are processes that are ready.
type stations struct {
	all    []*exec.Cmd
	begins []io.WriteCloser
}

// startStations starts processes, and waits until each has opened the ledger.
func startStations(t *testing.T, address, to string, number int) *stations {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var s stations
	for i := range number {
		told, err := json.Marshal(station{Name: fmt.Sprint(i), Address: address, To: to})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env, cmd.Stderr = append(os.Environ(), stationVariable+"="+string(told)), os.Stderr
		begin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		ready, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.all, s.begins = append(s.all, cmd), append(s.begins, begin)
		if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
			t.Fatalf("station %d: %v", i, err)
		}
	}
	return &s
}

// work is how long they take until no row is left.
func (s *stations) work(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	for _, begin := range s.begins {
		if _, err := io.WriteString(begin, "\n"); err != nil {
			t.Fatal(err)
		}
	}
	var failed error
	for _, cmd := range s.all {
		failed = errors.Join(failed, cmd.Wait())
	}
	if failed != nil {
		t.Fatal(failed)
	}
	return time.Since(began)
}
