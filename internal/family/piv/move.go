package piv

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// moves reports whether the card can move and delete keys: YubiKeys since 5.7.
func (k *slotKey) moves(ctx context.Context) (bool, error) {
	firmware, err := k.version(ctx)
	return firmware.Since(5, 7), err
}

// Deletable refuses cards on which a key can only be replaced.
func (k *slotKey) Deletable(ctx context.Context) error {
	can, err := k.moves(ctx)
	if err != nil || can {
		return k.explain(err, "")
	}
	return problem.New(problem.NotSupported, "%s: this card cannot delete a key", k.ref).
		Because("YubiKeys can, since firmware 5.7. Here, a new key in the slot overwrites the old one; a certificate is deleted with delete-cert.").
		Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, k.ref.Text), advice.Fill(advice.Replace)))
}

// Delete removes the key, and looks whether it is gone.
func (k *slotKey) Delete(ctx context.Context) error {
	what := "delete-key " + k.ref.String()
	if err := k.Deletable(ctx); err != nil {
		return err
	}
	if err := k.manageConfirmed(ctx); err != nil {
		return explain(err, what, key.Untouched)
	}
	selected, err := k.application(ctx)
	if err == nil {
		err = selected.DeleteKey(ctx, k.slot)
	}
	if iso7816.Refused(err) {
		return explain(err, what, key.Untouched)
	}
	if key.Unreachable(ctx, err) {
		return explain(err, what, stateUnknown)
	}
	k.forget()
	switch _, failed := k.about(ctx, byte(k.slot)); {
	case errors.Is(failed, app.ErrEmpty):
		k.saw(&found{state: empty})
		return nil
	case failed != nil:
		return explain(errors.Join(err, failed), what, stateUnknown)
	case err == nil:
		return problem.New(problem.Failed, "%s: the key is still on the card", what).
			Because("The card reported success but did not delete the key.")
	}
	return explain(err, what, stateSame)
}

// LostForGood is for the slot that the maker filled.
func (k *slotKey) LostForGood() string {
	if k.slot != app.Attestation {
		return ""
	}
	return "The maker of the card put this key and its certificate on it, to attest other keys. No reset brings them back."
}

// Free is a retired slot: the one to which an interrupted command was moving this key, or
// else the first that is empty.
func (k *slotKey) Free(ctx context.Context) (key.Reference, error) {
	if err := k.movable(ctx); err != nil {
		return key.Reference{}, err
	}
	source, err := k.look(ctx)
	if err != nil {
		return key.Reference{}, k.explain(err, "")
	}
	ours, err := k.Certificate(ctx)
	if err != nil {
		return key.Reference{}, k.explain(err, "")
	}
	if source.state == empty && ours == nil {
		return key.Reference{}, k.gone(ctx, app.RetiredPlaces()...)
	}
	first := app.Slot(0)
	for position := 1; position <= app.RetiredSlots && (first == 0 || source.state == empty); position++ {
		to := k.key(app.RetiredAt(position))
		_, err := k.about(ctx, byte(to.slot))
		if err != nil && !errors.Is(err, app.ErrEmpty) && key.Unreachable(ctx, err) {
			return key.Reference{}, to.explain(err, "")
		}
		vacant := errors.Is(err, app.ErrEmpty)
		if to.slot == k.slot || !vacant && source.state == present {
			continue
		}
		theirs, err := to.Certificate(ctx)
		switch {
		case err != nil && key.Unreachable(ctx, err):
			return key.Reference{}, to.explain(err, "")
		case err == nil && ours != nil && bytes.Equal(theirs, ours):
			return to.ref, nil
		case err == nil && theirs == nil && vacant && first == 0:
			first = to.slot
		}
	}
	if first == 0 {
		return key.Reference{}, problem.New(problem.NotFound, "there is no empty slot for retired keys").
			Because("All %d hold a key or a certificate.", app.RetiredSlots).Advise(advice.Do(advice.ShowCard))
	}
	return referenceOf(first), nil
}

// movable refuses cards and slots whose keys do not move.
func (k *slotKey) movable(ctx context.Context) error {
	can, err := k.moves(ctx)
	why := "YubiKeys can, since firmware 5.7."
	if k.slot == app.Attestation {
		can, why = false, "Keys do not move to or from the attestation slot."
	}
	if err != nil || can {
		return k.explain(err, "")
	}
	return problem.New(problem.NotSupported, "%s: this card cannot move the key", k.ref).Because("%s", why).
		Advise(advice.Do(advice.ShowCard))
}

// Move copies the certificate, moves the key, tells it in the key history, and deletes
// the certificate at the old place. Each step is left out if an earlier run did it.
func (k *slotKey) Move(ctx context.Context, to key.Reference) (*key.Moved, error) {
	what := "move-key " + k.ref.String()
	target := k.key(slotOf(to))
	for _, place := range []*slotKey{k, target} {
		if err := place.movable(ctx); err != nil {
			return nil, err
		}
	}
	m := &move{from: k, to: target}
	err := m.survey(ctx)
	if err == nil {
		err = k.manage(ctx)
	}
	if err == nil {
		err = m.unchanged(ctx)
	}
	if err != nil {
		return nil, explain(err, what, key.Untouched)
	}
	if err := m.work(ctx); err != nil {
		return nil, explain(err, what, m.state+" The same command continues.")
	}
	return &key.Moved{Key: target, Certificate: m.certificate, Finished: m.finished}, nil
}

// move is a key on its way.
type move struct {
	from, to *slotKey
	// source and goal are what was in the slots.
	source, goal *found
	// certificate goes with the key; nil for none. copied says that it is at the
	// new place.
	certificate []byte
	copied      bool
	// finished says that the key is at its new place already.
	finished bool
	// state is what is on the card, in a sentence, should the next step fail.
	state string
}

// survey finds out how far an earlier run came, and refuses a place that is not empty.
func (m *move) survey(ctx context.Context) error {
	var err error
	if m.source, err = m.from.look(ctx); err != nil {
		return err
	}
	if m.goal, err = m.to.look(ctx); err != nil {
		return err
	}
	ours, err := m.from.Certificate(ctx)
	if err != nil {
		return err
	}
	theirs, err := m.to.Certificate(ctx)
	if err != nil {
		return err
	}
	m.certificate, m.copied = ours, theirs != nil
	same := ours != nil && bytes.Equal(ours, theirs)
	switch {
	case m.source.state == empty && m.goal.state == present && same && isOf(ours, m.goal.public):
		m.finished = true
		return nil
	case m.source.state == empty:
		return m.from.gone(ctx, m.to.slot)
	case m.source.state != present || m.goal.state == unknown:
		return problem.New(problem.Refused, "the card does not report what is in the slots").Advise(advice.Do(advice.ShowCard))
	case m.goal.state == present || theirs != nil && !same:
		return problem.New(problem.Refused, "%s is not empty", m.to.ref).
			Because("The key or certificate there would be lost. Choose an empty place.").Advise(advice.Repeat(advice.Fill(advice.Target)))
	}
	return nil
}

// gone is the error of a slot without a key. If the answer to the last command of a move
// was lost, the move was whole, and nothing on the card tells this slot from one that never
// had a key: what is at the places to which the key can have gone is told instead.
func (k *slotKey) gone(ctx context.Context, places ...app.Slot) error {
	var there []string
	for _, slot := range places {
		to := k.key(slot)
		now, err := to.byMetadata(ctx, k.on)
		if err != nil && key.Unreachable(ctx, err) {
			return to.explain(err, "")
		}
		if err == nil && now.state == present {
			there = append(there, fmt.Sprintf("%s (%s)", to.ref, now.named()))
		}
	}
	p := key.Wrap(problem.NotFound, app.ErrEmpty, "there is no key in this slot", reportedEmpty)
	if len(there) > 0 {
		p = p.Because("A key is at: %s. If it was here before, it was moved completely.", strings.Join(there, ", "))
	}
	return p.Advise(advice.Do(advice.ShowCard))
}

// isOf reports whether a certificate is for a key.
func isOf(der []byte, public crypto.PublicKey) bool {
	there, err := app.PublicKeyOf(der)
	return err == nil && public != nil && pubkey.Same(there, public)
}

func (m *move) unchanged(ctx context.Context) error {
	if err := m.from.unchanged(ctx, m.source); err != nil {
		return err
	}
	return m.to.unchanged(ctx, m.goal)
}

func (m *move) work(ctx context.Context) error {
	m.state = "The key is still at " + m.from.ref.String() + "."
	if m.certificate != nil && !m.copied {
		if err := m.copy(ctx); err != nil {
			return err
		}
	}
	if !m.finished {
		if err := m.moveKey(ctx); err != nil {
			return err
		}
	}
	m.state = "The key is at " + m.to.ref.String() + "."
	if m.certificate == nil {
		return nil
	}
	if err := m.from.keepHistory(ctx, m.from.slot, m.to.slot); err != nil {
		return key.Explain(err, "writing the key history", "")
	}
	return m.from.deleteCertificate(ctx)
}

func (m *move) copy(ctx context.Context) error {
	if err := m.to.store(ctx, m.certificate); err != nil {
		return key.Explain(err, "copying the certificate", "")
	}
	there, err := m.to.ReadBackCertificate(ctx)
	if err == nil && !bytes.Equal(there, m.certificate) {
		err = problem.New(problem.Failed, "the certificate at the new place is not the one that was written").
			Because("The card returned %d bytes, not %d.", len(there), len(m.certificate))
	}
	return err
}

// moveKey moves the key, and looks whether it arrived.
func (m *move) moveKey(ctx context.Context) error {
	selected, err := m.from.application(ctx)
	if err != nil {
		return err
	}
	err = selected.MoveKey(ctx, m.from.slot, m.to.slot)
	if iso7816.Refused(err) {
		return err
	}
	m.state = "It is not known whether the key is at " + m.from.ref.String() + " or at " + m.to.ref.String() + "."
	if err != nil && key.Unreachable(ctx, err) {
		return err
	}
	m.from.forget()
	m.to.forget()
	now, failed := m.to.look(ctx)
	switch {
	case failed != nil:
		return errors.Join(err, failed)
	case now.public != nil && m.source.public != nil && pubkey.Same(now.public, m.source.public):
		return nil
	case err == nil:
		return problem.New(problem.Failed, "the key is not at its new place").Because("The card reported success but did not move the key.")
	}
	return err
}
