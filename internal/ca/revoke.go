package ca

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// Reasons are the names of RFC 5280, 5.3.1, at their numbers; empty for those that no
// certificate can be revoked for.
func reasons() []string {
	return []string{
		"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
		"certificateHold", "", "", "privilegeWithdrawn", "aACompromise",
	}
}

// Numbers of reasons.
const (
	keyCompromise   = 1
	caCompromise    = 2
	certificateHold = 6
	aaCompromise    = 10
)

// Reasons are the names of reasons for which a certificate is revoked.
func Reasons() []string {
	return slices.DeleteFunc(reasons(), func(name string) bool { return name == "" })
}

func parseReason(text string) (int, error) {
	at := slices.IndexFunc(reasons(), func(name string) bool { return name != "" && strings.EqualFold(name, text) })
	if at < 0 {
		return 0, problem.New(problem.Usage, "not a reason: %q", text).
			Because("The reasons are %s.", strings.Join(Reasons(), ", ")).Advise(advice.Repeat(advice.Set(advice.Reason, "superseded")))
	}
	return at, nil
}

// Change is what became of a certificate.
type Change struct {
	Serial  string `json:"serialNumber"`
	Subject string `json:"subject"`
	State   State  `json:"state"`
	Reason  string `json:"reason,omitempty"`
}

// Revoke revokes a certificate for a reason by its name, after a question. One that is on
// hold can be revoked for good; one that is revoked stays as it is.
func (c *CA) Revoke(ctx context.Context, a desk.Access, serial, reason string, now time.Time) (change Change, err error) {
	number, err := parseReason(reason)
	if err != nil {
		return change, err
	}
	e, err := c.entry(ctx, serial)
	if err != nil {
		return change, err
	}
	switch state := e.state(now); {
	case state == Revoked:
		return change, problem.New(problem.Refused, "the certificate is revoked already").
			Because("It was revoked on %s: %s.", time.Unix(e.revoked.Int64, 0).UTC().Format(time.DateOnly), reasons()[e.reason.Int64]).
			Advise(c.look())
	case state == Held && number == certificateHold:
		return change, problem.New(problem.Refused, "the certificate is on hold already").Advise(c.look())
	}
	lost := "That cannot be taken back."
	if number == certificateHold {
		lost = "It can be released."
	}
	if a.Confirm != nil {
		if err := a.Confirm.Ask(ctx, advice.Question{Deed: "Revoke", Subject: "the certificate of " + e.Subject + ", " + serial, Lost: lost}); err != nil {
			return change, err
		}
	}
	// It is what was asked about that is revoked.
	return c.change(ctx, e, "UPDATE certificates SET revoked = COALESCE(revoked, ?), reason = ? WHERE serial = ? AND reason IS ?",
		[]any{now.Unix(), number, serial, e.reason}, now)
}

// Release ends the hold of a certificate.
func (c *CA) Release(ctx context.Context, serial string, now time.Time) (change Change, err error) {
	e, err := c.entry(ctx, serial)
	if err != nil {
		return change, err
	}
	if e.state(now) != Held {
		return change, problem.New(problem.Refused, "the certificate is not on hold").
			Because("It is %s.", e.state(now)).Advise(c.look())
	}
	return c.change(ctx, e, "UPDATE certificates SET revoked = NULL, reason = NULL WHERE serial = ? AND reason = ?",
		[]any{serial, certificateHold}, now)
}

// look shows the CA.
func (c *CA) look() advice.Advice { return advice.Do(advice.ShowCA).On(c.dir) }

// change does what was decided about an entry, if that is still as it was.
func (c *CA) change(ctx context.Context, e *entry, statement string, args []any, now time.Time) (change Change, err error) {
	err = c.db.Change(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, problem.New(problem.Refused, "another command changed the certificate meanwhile").Advise(advice.Repeat()))
		}
		return nil
	})
	if err != nil {
		return change, err
	}
	if e, err = c.entry(ctx, e.Serial); err != nil {
		return change, err
	}
	return Change{Serial: e.Serial, Subject: e.Subject, State: e.state(now), Reason: e.reasonName()}, nil
}
