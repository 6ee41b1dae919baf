package ca

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// pivCard is a simulated card in a reader of its own.
type pivCard struct {
	*cardsim.Card

	sent []iso7816.Command
}

func (c *pivCard) List() ([]cardsim.Info, error) { return nil, nil }

func (c *pivCard) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	connection, err := c.Card.Connect(ctx)
	return tapped{connection, c}, err
}

type tapped struct {
	iso7816.Connection
	card *pivCard
}

func (c tapped) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	cmd, _, err := iso7816.ParseCommand(apdu)
	if err != nil {
		return nil, err
	}
	c.card.sent = append(c.card.sent, cmd)
	return c.Connection.Transmit(ctx, apdu)
}

// verified reports whether the PIN was sent.
func (c *pivCard) verified() bool {
	for _, cmd := range c.sent {
		if cmd.INS == iso7816.InsVerify && len(cmd.Data) > 0 {
			return true
		}
	}
	return false
}

func (c *pivCard) desk() *desk.Desk {
	return &desk.Desk{Simulated: c, Meant: desk.Selection{Reader: desk.SimulatedPrefix + "card"}}
}

func cardholder() desk.Access {
	a := atDesk()
	a.Ask = func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
		if r.Name == secret.ManagementKey {
			return secret.New([]byte(strings.Repeat("0102030405060708", 3))), nil
		}
		return secret.New([]byte("123456")), nil
	}
	a.Notify = func(string) {}
	return a
}

// newPIVCard is one with a key for signatures.
func newPIVCard(t *testing.T) *pivCard {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Profile: "piv-yubikey-5", Applications: []string{"piv"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	c := &pivCard{Card: card}
	if _, err := keygen.Generate(t.Context(), c.desk(), cardholder(), keygen.Wish{Key: "PIV.9C", Algorithm: "p256"}); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestExpectedOnlyOnAKnownCard: the key of a CA whose card nobody noted is looked at before
// the PIN is sent, and another card does not get it either way.
func TestExpectedOnlyOnAKnownCard(t *testing.T) {
	own, other := newPIVCard(t), newPIVCard(t)
	dir := filepath.Join(t.TempDir(), "ca")
	if _, err := Init(t.Context(), own.desk(), cardholder(), dir, InitOptions{Subject: "CN=Desk CA", Key: "PIV.9C"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, noted := range []bool{true, false} {
		c, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if (c.holder != "") != noted {
			t.Errorf("the card is %q", c.holder)
		}
		o := Order{Request: request(t, csr.Options{Subject: "CN=a"}), Profile: profile(t, "client")}
		other.sent, own.sent = nil, nil
		if _, err := c.Issue(t.Context(), other.desk(), cardholder(), o, time.Now()); !problem.Is(err, problem.Mismatch) || other.verified() {
			t.Errorf("noted %v: the PIN was sent to another card: %v, %v", noted, other.verified(), err)
		}
		if _, err := c.Issue(t.Context(), own.desk(), cardholder(), o, time.Now()); err != nil {
			t.Error(err)
		}
		if _, err := c.db.ExecContext(t.Context(), "UPDATE authorities SET holder = ''"); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestEachIsCheckedBeforeTheFirst of several requests is signed for.
func TestEachIsCheckedBeforeTheFirst(t *testing.T) {
	c := newCA(t, InitOptions{})
	order := func(name string) Order {
		return Order{Source: name, Request: request(t, csr.Options{Subject: name}), Profile: profile(t, "client")}
	}
	issued := 0
	each := func(Issued) error { issued++; return nil }
	err := c.IssueEach(t.Context(), nil, atDesk(), []Order{order("CN=a"), order("CN=Desk CA,O=Example")}, time.Now(), each)
	if !problem.Is(err, problem.Mismatch) || issued != 0 || !strings.Contains(err.Error(), "CN=Desk CA") {
		t.Errorf("%d were issued: %v", issued, err)
	}
	asked := 0
	a := atDesk()
	a.Confirm = func(context.Context, desk.Question) error { asked++; return nil }
	if err := c.IssueEach(t.Context(), nil, a, []Order{order("CN=a"), order("cn=A"), order("CN=b")}, time.Now(), each); err != nil || issued != 3 || asked != 1 {
		t.Errorf("%d were issued, and %d questions asked: %v", issued, asked, err)
	}
	stop := errors.New("the disk is full")
	err = c.IssueEach(t.Context(), nil, atDesk(), []Order{order("CN=c"), order("CN=d")}, time.Now(), func(Issued) error { return stop })
	var stored int
	failed := c.db.QueryRowContext(t.Context(), "SELECT count(*) FROM certificates WHERE subject IN (?, ?)", "CN=c", "CN=d").Scan(&stored)
	if !errors.Is(err, stop) || errors.Is(failed, sql.ErrNoRows) || stored != 1 {
		t.Errorf("%d are stored: %v, %v", stored, err, failed)
	}
}
