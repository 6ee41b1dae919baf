//go:build cgo && stack

package pcsc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// These tests need a running PC/SC daemon with the virtual reader of
// vsmartcard-vpcd, and nothing in it.

// A test binary with a role is another program at the card: it says so when it
// has got what it is to hold, and holds it until its input ends.
const roleVariable = "PCSC_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func play(role string) error {
	if role == "no daemon" {
		_, err := Open(context.Background(), Options{})
		if !problem.Is(err, problem.NotFound) {
			return fmt.Errorf("error %v", err)
		}
		return nil
	}
	s, err := scard.EstablishContext()
	if err != nil {
		return err
	}
	if role == "exclusive" {
		return takeAlone(s)
	}
	c, err := s.Connect(virtualReader, scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		return err
	}
	return c.BeginTransaction()
}

// takeAlone connects exclusively. The daemon learns a moment later than others that a
// program has ended, and counts its connection until then.
func takeAlone(s *scard.Context) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := s.Connect(virtualReader, scard.ShareExclusive, scard.ProtocolAny)
		if err != scard.ErrSharingViolation || time.Now().After(deadline) {
			return err
		}
	}
}

// program starts this binary with a role and returns when it is ready.
func program(t *testing.T, role string, env ...string) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(end)
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("%s: %s", role, line)
	}
	return cmd.Process.Pid, end
}

func openManager(t *testing.T, options Options) *Manager {
	t.Helper()
	m, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// inVirtualReader waits for a state of the virtual reader.
func inVirtualReader(t *testing.T, m *Manager, present bool) {
	t.Helper()
	_, err := m.WaitForCard(within(t, 10*time.Second), func(r Reader) bool {
		return r.Name == virtualReader && r.CardPresent == present
	})
	if err != nil {
		t.Fatalf("card present %v: %v", present, err)
	}
}

// withCard opens the resource manager with a card in the virtual reader.
func withCard(t *testing.T, options Options) (*Manager, *virtualCard) {
	t.Helper()
	m := openManager(t, options)
	inVirtualReader(t, m, false)
	card := insert(t)
	inVirtualReader(t, m, true)
	return m, card
}

func inVirtual(r Reader) bool { return r.Name == virtualReader && r.CardPresent }

func connected(t *testing.T, m *Manager) iso7816.Connection {
	t.Helper()
	c, err := m.Connect(within(t, 10*time.Second), virtualReader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send transmits an instruction and returns the status word.
func send(t *testing.T, c iso7816.Connection, instruction byte) uint16 {
	t.Helper()
	answer, err := c.Transmit(t.Context(), []byte{0, instruction, 0, 0})
	if err != nil || len(answer) != 2 {
		t.Fatalf("instruction %02X: %X, %v", instruction, answer, err)
	}
	return uint16(answer[0])<<8 | uint16(answer[1])
}

func TestStackCardComesAndGoes(t *testing.T) {
	m := openManager(t, Options{})
	inVirtualReader(t, m, false)
	arrived := make(chan Reader, 1)
	go func() {
		r, err := m.WaitForCard(within(t, 10*time.Second), inVirtual)
		if err != nil {
			t.Error(err)
		}
		arrived <- r
	}()
	card := insert(t)
	if r := <-arrived; r.Name != virtualReader || !bytes.Equal(r.ATR, answerToReset) {
		t.Errorf("%+v", r)
	}
	card.remove()
	inVirtualReader(t, m, false)
	readers, err := m.Readers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(readers, func(r Reader) bool { return r.Name == virtualReader })
	if i < 0 || readers[i].ATR != nil || readers[i].CardPresent || readers[i].InUse {
		t.Errorf("%+v", readers)
	}
	if _, err := m.Connect(t.Context(), virtualReader); !problem.Is(err, problem.NotFound) {
		t.Errorf("connect to an empty reader: %v", err)
	}
	if _, err := m.Connect(t.Context(), virtualReader+"x"); !problem.Is(err, problem.NotFound) {
		t.Errorf("connect to no reader: %v", err)
	}
}

func TestStackWaitIsCanceled(t *testing.T) {
	m := openManager(t, Options{})
	inVirtualReader(t, m, false)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	start := time.Now()
	if _, err := m.WaitForCard(ctx, inVirtual); err != context.Canceled {
		t.Fatal(err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
	inVirtualReader(t, m, false)
}

// A verified PIN survives Close without reset, and not with it.
func TestStackReset(t *testing.T) {
	m, _ := withCard(t, Options{})
	for _, test := range []struct {
		reset bool
		want  uint16
	}{{false, 0x9000}, {true, 0x6982}} {
		c := connected(t, m)
		if !bytes.Equal(c.ATR(), answerToReset) {
			t.Errorf("ATR %X", c.ATR())
		}
		send(t, c, 0x20)
		if err := c.Close(test.reset); err != nil {
			t.Fatal(err)
		}
		c = connected(t, m)
		if got := send(t, c, 0xB0); got != test.want {
			t.Errorf("after Close(%v): %04X, want %04X", test.reset, got, test.want)
		}
		if err := c.Close(true); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStackCardPulledWhileIdle(t *testing.T) {
	m, card := withCard(t, Options{})
	c := connected(t, m)
	card.remove()
	inVirtualReader(t, m, false)
	if _, err := c.Transmit(t.Context(), []byte{0, 0xB0, 0, 0}); !errors.Is(err, iso7816.ErrCardRemoved) {
		t.Error(err)
	}
	if err := c.Close(true); err != nil {
		t.Error(err)
	}
}

func TestStackCardPulledInACommand(t *testing.T) {
	m, card := withCard(t, Options{})
	c := connected(t, m)
	card.setWork(time.Second)
	time.AfterFunc(300*time.Millisecond, func() { _ = card.connection.Close() })
	if answer, err := c.Transmit(t.Context(), []byte{0, 0x10, 0, 0}); !errors.Is(err, iso7816.ErrCardRemoved) {
		t.Errorf("%X, %v", answer, err)
	}
	if err := c.Close(true); err != nil {
		t.Error(err)
	}
}

// A command is given up at once; the card is reset as soon as it is done with
// it, and can be had again.
func TestStackCommandIsCanceled(t *testing.T) {
	m, card := withCard(t, Options{})
	c := connected(t, m)
	send(t, c, 0x20)
	const work = 2 * time.Second
	card.setWork(work)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for !card.isWorking() {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	start := time.Now()
	if _, err := c.Transmit(ctx, []byte{0, 0x10, 0, 0}); err != context.Canceled {
		t.Fatal(err)
	}
	if err := c.Close(true); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > work/2 {
		t.Errorf("took %v", d)
	}
	c = connected(t, m)
	if got := send(t, c, 0xB0); got != 0x6982 {
		t.Errorf("still verified: %04X", got)
	}
	if err := c.Close(true); err != nil {
		t.Error(err)
	}
}

func TestStackBusy(t *testing.T) {
	m, _ := withCard(t, Options{BusyTimeout: 500 * time.Millisecond})
	for _, role := range []string{"transaction", "exclusive"} {
		t.Run(role, func(t *testing.T) {
			pid, end := program(t, role)
			_, err := m.Connect(t.Context(), virtualReader)
			var busy *BusyError
			if !problem.Is(err, problem.CardBusy) || !errors.As(err, &busy) {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(busy.Holders, func(p Process) bool { return p.PID == pid }) {
				t.Errorf("holders %v, want process %d", busy.Holders, pid)
			}
			if slices.ContainsFunc(busy.Holders, func(p Process) bool { return p.PID == os.Getpid() }) {
				t.Errorf("holders %v name ourselves", busy.Holders)
			}
			readers, err := m.Readers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range readers {
				if r.Name == virtualReader && (!r.InUse || r.Exclusive != (role == "exclusive")) {
					t.Errorf("%+v", r)
				}
			}
			end()
			if err := connected(t, openManager(t, Options{})).Close(true); err != nil {
				t.Error(err)
			}
		})
	}
}

// A transaction that ends in time is waited for.
func TestStackWaitsForTransaction(t *testing.T) {
	m, _ := withCard(t, Options{})
	_, end := program(t, "transaction")
	time.AfterFunc(300*time.Millisecond, end)
	if err := connected(t, m).Close(true); err != nil {
		t.Error(err)
	}
}

func TestStackNoDaemon(t *testing.T) {
	program(t, "no daemon", "PCSCLITE_CSOCK_NAME="+t.TempDir()+"/pcscd.comm")
}
