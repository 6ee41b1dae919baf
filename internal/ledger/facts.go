package ledger

import (
	"context"
	"database/sql"
	"encoding/pem"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// fact is something that was done, or is so, after a change was announced. It is what a
// line of the spool holds: never a secret.
type fact struct {
	Ledger string `json:"ledger"`
	Token  string `json:"token"`
	// Entry is the record that announced it.
	Entry  int64  `json:"entry"`
	Serial string `json:"serial"`

	Plan     string `json:"plan,omitempty"`
	Position int64  `json:"row,omitempty"`
	Lease    int64  `json:"lease,omitempty"`

	What       string         `json:"what"` // what the log says: end, note, state, …
	At         time.Time      `json:"at"`   // by the clock of the station
	State      State          `json:"state,omitempty"`
	Secrets    []int64        `json:"secrets,omitempty"`
	Credential *Credential    `json:"credential,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	Failed     string         `json:"failed,omitempty"` // the code of a problem
	Data       map[string]any `json:"data,omitempty"`

	// late says that it comes out of the spool, over that it is for the log alone.
	late, over bool
}

// The kinds of facts.
const (
	factEnd       = "end"
	factNote      = "note"
	factState     = "state"
	factSet       = "set"
	factCertified = "certified"
	factRevoked   = "revoked"
	factErased    = "erased"
	factLacks     = "lacks"
)

// resultDone is how a change ends that did not fail.
const resultDone = "done"

// Has records that the card has these secrets now. Older ones of their kinds are over.
func (e *Entry) Has(ctx context.Context, ids ...int64) error {
	if len(ids) == 0 {
		return nil
	}
	return e.after(ctx, fact{What: factSet, Secrets: ids})
}

// Certified records a certificate that the card has now. Another one of the same place is
// over.
func (e *Entry) Certified(ctx context.Context, c Credential) error {
	return e.after(ctx, fact{What: factCertified, Credential: &c})
}

// Revoked records that the issuer revoked a certificate: its serial number, and why.
func (e *Entry) Revoked(ctx context.Context, serialNumber, reason string) error {
	return e.after(ctx, fact{What: factRevoked, Credential: &Credential{SerialNumber: serialNumber}, Reason: reason})
}

// Erased records that the card has no key, no certificate and no secret of the ledger any
// more.
func (e *Entry) Erased(ctx context.Context) error { return e.after(ctx, fact{What: factErased}) }

// State records what the card is now. A state that does not follow is a problem.Refused.
func (e *Entry) State(ctx context.Context, to State) error {
	return e.after(ctx, fact{What: factState, State: to})
}

// Note records a fact for the log alone. data may hold neither a secret nor a person's
// name.
func (e *Entry) Note(ctx context.Context, what string, data map[string]any) error {
	return e.after(ctx, fact{What: factNote, Data: map[string]any{"note": what, "data": data}})
}

// End records how the change ended: failed is nil if it was done. What cannot be written
// goes to the spool, and the error is a problem.Failed.
func (e *Entry) End(ctx context.Context, failed error) error {
	return e.after(ctx, fact{What: factEnd, Failed: code(failed)})
}

// code is what the log says of a failure: messages may hold names.
func code(err error) string {
	var known *problem.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &known):
		return string(known.Code)
	case errors.Is(err, context.Canceled):
		return string(problem.Interrupted)
	}
	return string(problem.Failed)
}

// after writes a fact. It is true already, so it is spooled if it cannot be written.
func (e *Entry) after(ctx context.Context, f fact) error {
	f.Ledger, f.Token, f.Entry, f.Serial, f.At = e.l.id, random(), e.number, e.serial, e.l.o.Now().UTC()
	if e.lease != nil {
		f.Plan, f.Position, f.Lease = e.lease.plan, e.lease.position, e.lease.Number
	}
	ctx, cancel := e.l.afterwards(ctx)
	defer cancel()
	err := e.l.catchUp(ctx)
	if err == nil {
		err = e.l.apply(ctx, f)
	}
	if err == nil || problem.Is(err, problem.Refused) {
		return err
	}
	return e.l.spool(f, err)
}

// apply stores a fact. One out of the spool that is over, because the card was changed
// again or its row has another lease, is put into the log alone.
func (l *Ledger) apply(ctx context.Context, f fact) error {
	_, err := l.writeWithin(ctx, l.trying(), silence, f.Token, func(ctx context.Context, c *change) error {
		card, known, err := c.card(ctx, f.Serial)
		if err != nil {
			return err
		}
		stands := !f.over
		switch err := c.holds(ctx, f.Plan, f.Position, f.Lease); {
		case problem.Is(err, problem.Refused) && f.late:
			stands = false
		case err != nil:
			return err
		}
		if f.late && (!known || card.entry != f.Entry) {
			stands = false
		}
		if f.What == factState && stands {
			if err := card.state.to(f.State, f.Serial); err != nil {
				if !f.late {
					return err
				}
				stands = false
			}
		}
		number, err := c.append(ctx, record{f.Token, f.Serial, card.person, f.logged(stands)})
		if err != nil || !stands {
			return err
		}
		return c.take(ctx, number, card, f)
	})
	return err
}

// logged is what the log says of a fact.
func (f fact) logged(stands bool) map[string]any {
	data := map[string]any{"what": f.What, "entry": f.Entry}
	switch f.What {
	case factEnd:
		data["result"] = resultDone
		if f.Failed != "" {
			data["result"] = f.Failed
		}
	case factNote, factGone, factOver:
		for name, value := range f.Data {
			data[name] = value
		}
	case factState:
		data["state"] = f.State
	case factSet, factLacks:
		data["secrets"] = f.Secrets
	case factCertified:
		// Who issued it may be its holder, or an address with the name of a user.
		data["ref"], data["spki"] = f.Credential.Ref, f.Credential.SPKI
		data["serialNumber"], data["notAfter"] = f.Credential.SerialNumber, f.Credential.NotAfter.UTC().Format(time.RFC3339)
	case factRevoked:
		data["serialNumber"], data["reason"] = f.Credential.SerialNumber, f.Reason
	}
	if f.late {
		data["at"] = f.At.Format(time.RFC3339)
		data["late"] = true
	}
	if !stands {
		data["over"] = true
	}
	return data
}

// take changes the tables as a fact says.
func (c *change) take(ctx context.Context, number int64, card row, f fact) error {
	switch f.What {
	case factState:
		card.state = f.State
		if f.State == Stock {
			card.person = 0
		}
		if err := c.put(ctx, card); err != nil {
			return err
		}
		return c.freeRows(ctx, f.Serial, f.State)
	case factSet:
		return c.set(ctx, f.Serial, f.Secrets)
	case factCertified:
		k := *f.Credential
		switch forgotten, err := c.forgotten(ctx, card.person); {
		case err != nil:
			return err
		case forgotten:
			k.Subject, k.Issuer, k.Certificate = "", "", nil
		}
		return c.certified(ctx, number, f.Serial, k)
	case factRevoked:
		_, err := c.ExecContext(ctx, "UPDATE credential SET revoked = $1 WHERE serial = $2 AND serial_number = $3", f.Reason, f.Serial, f.Credential.SerialNumber)
		return err
	case factLacks:
		return c.lacks(ctx, f.Serial, f.Secrets)
	case factErased:
		return c.erased(ctx, f.Serial)
	case factGone:
		return c.gone(ctx, f.Serial, f.Data)
	case factOver:
		return c.superseded(ctx, f.Serial, f.Data)
	}
	return nil
}

// set notes secrets that the card has. Another one of the same kind is over.
func (c *change) set(ctx context.Context, serial string, ids []int64) error {
	for _, id := range ids {
		var kind string
		err := c.QueryRowContext(ctx, "SELECT kind FROM secret WHERE number = $1 AND serial = $2", id, serial).Scan(&kind)
		if errors.Is(err, sql.ErrNoRows) {
			return problem.New(problem.Refused, "card %s: the ledger has no sealed secret %d of it", serial, id)
		}
		if err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, "UPDATE secret SET ended = 1 WHERE serial = $1 AND kind = $2 AND number <> $3", serial, kind, id); err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, "UPDATE secret SET known = 1, ended = 0 WHERE number = $1", id); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) certified(ctx context.Context, number int64, serial string, k Credential) error {
	if _, err := c.ExecContext(ctx, "UPDATE credential SET ended = 1 WHERE serial = $1 AND ref = $2", serial, k.Ref); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, `INSERT INTO credential (number, serial, ref, spki, certificate, issuer, subject, serial_number, not_after, revoked, ended)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0)`,
		number, serial, k.Ref, k.SPKI, armoured(k.Certificate), k.Issuer, k.Subject, k.SerialNumber, k.NotAfter.UnixMilli(), k.Revoked)
	return err
}

const certificateBlock = "CERTIFICATE"

// armoured is a certificate as PEM; nothing of nothing.
func armoured(der []byte) string {
	if len(der) == 0 {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: der}))
}

// bare is a certificate as DER.
func bare(text string) []byte {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	return block.Bytes
}
