//go:build stack

package ledger_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// stationVariable holds, for a process that is a station, what it is told.
const stationVariable = "CARDCTL_TEST_STATION"

func TestMain(m *testing.M) {
	if told := os.Getenv(stationVariable); told != "" {
		var s station
		if err := json.Unmarshal([]byte(told), &s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		s.run()
		return
	}
	os.Exit(stack.Main(m))
}

// station is a process that gives rows to cards, until none is left. A card is a file, so
// that it keeps what it has if the process dies.
type station struct {
	Name, Address, Cards, To string
	// Lease and Patience are short in tests with faults.
	Lease, Patience time.Duration

	sealers *ledger.Sealers
	made    int // how many new cards
}

// simulated is a card.
type simulated struct {
	Serial string
	// Persons it was written for, Secret that it has.
	Persons []string
	Secret  string
	Done    bool
}

func (s *station) run() {
	var err error
	if s.sealers, err = ledger.Recipients([]string{s.To}, ledger.UI{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	o := ledger.Options{Station: s.Name, Spool: filepath.Join(s.Cards, "spool-"+s.Name), Lease: s.Lease, Patience: s.Patience}
	for {
		if s.session(o) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// session is one command: it ends after a failure, and the next one goes on. It reports
// whether nothing is left to do.
func (s *station) session(o ledger.Options) (over bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	opening, opened := context.WithTimeout(ctx, s.Patience+time.Second)
	defer opened()
	l, err := ledger.Open(opening, s.Address, o)
	if err != nil {
		return false
	}
	defer func() { _ = l.Close() }()
	for {
		card, err := s.next()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		x, err := l.Claim(ctx, "plan", card.Serial)
		if err != nil {
			return false
		}
		if x == nil {
			return true
		}
		if err := s.issue(ctx, l, x, card); err != nil {
			_ = x.Free(ctx)
			return false
		}
	}
}

// next is a card that is not finished, else a new one.
func (s *station) next() (*simulated, error) {
	files, err := filepath.Glob(filepath.Join(s.Cards, s.Name+"-*.json"))
	if err != nil {
		return nil, err
	}
	for i := len(files) - 1; i >= max(0, len(files)-2); i-- { // one at a time, so it is the last
		card, err := readCard(files[i])
		if err != nil || !card.Done {
			return card, err
		}
	}
	s.made = len(files)
	card := &simulated{Serial: fmt.Sprintf("%s-%04d", s.Name, s.made)}
	return card, s.save(card)
}

func readCard(file string) (*simulated, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	card := &simulated{}
	return card, json.Unmarshal(text, card)
}

func (s *station) save(card *simulated) error {
	text, err := json.Marshal(card)
	if err != nil {
		return err
	}
	file := filepath.Join(s.Cards, card.Serial+".json")
	return errors.Join(os.WriteFile(file+".new", text, 0o600), os.Rename(file+".new", file))
}

var errOver = errors.New("the lease may end before the step")

// issue does what a provisioned card needs, in the order that is safe: announced, sealed,
// set, recorded.
func (s *station) issue(ctx context.Context, l *ledger.Ledger, x *ledger.Lease, card *simulated) error {
	reading, read := context.WithTimeout(ctx, s.Patience)
	defer read()
	known, err := l.Card(reading, card.Serial)
	if err != nil {
		return err
	}
	active := known != nil && known.State == ledger.Active
	if x.Progress != ledger.Done {
		change := ledger.Change{Command: "provision", Serial: card.Serial, Person: &x.Row.Person, Lease: x}
		if !active {
			change.State = ledger.Issuing
		}
		e, err := l.Begin(ctx, change)
		if err != nil {
			return err
		}
		if !active {
			if err := s.write(ctx, e, x, card); err != nil {
				return err
			}
		}
		if err := e.End(ctx, nil); err != nil {
			return err
		}
		if err := x.Done(ctx, true, ""); err != nil {
			return err
		}
	} else if err := x.Free(ctx); err != nil {
		return err
	}
	card.Done = true
	return s.save(card)
}

// write changes the card. What was done and cannot be recorded is in the spool, and the
// station goes on.
func (s *station) write(ctx context.Context, e *ledger.Entry, x *ledger.Lease, card *simulated) error {
	const step = 200 * time.Millisecond
	value := make([]byte, 8)
	_, _ = rand.Read(value)
	text := hex.EncodeToString(value)
	id, err := e.SealTo(ctx, secret.PUK, ledger.KeepLedger, pin(text), s.sealers)
	if err != nil {
		return err
	}
	if !x.Lasts(step) {
		return errOver
	}
	card.Persons, card.Secret = append(card.Persons, x.Row.Person.ID), text
	if err := s.save(card); err != nil {
		return err
	}
	for _, err := range []error{
		e.Has(ctx, id),
		e.Certified(ctx, ledger.Credential{Ref: "K", Subject: "CN=" + x.Row.Person.ID, SerialNumber: strings.ToUpper(text)}),
		e.State(ctx, ledger.Active),
	} {
		if err != nil && !problem.Is(err, problem.Failed) {
			return err
		}
	}
	return nil
}
