package piv

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// contents is what init finds on a card.
type contents struct {
	// lost are keys and certificates, keys those of the first that may be there.
	lost, keys []string
	// certificates are those of lost that are not keys: what a card loses that is cleared.
	certificates []string
	// withKey and withCertificate are the slots that certainly have one.
	withKey, withCertificate []app.Slot
	// blank is a card that says that PIN, PUK and management key are the factory's, and
	// on which nothing was found.
	blank bool
}

// holdings reads the four slots of every card, and of those for retired keys as many as
// the card says that are used.
func (c *onCard) holdings(ctx context.Context) (contents, error) {
	var found contents
	selected, err := c.application(ctx)
	if err != nil {
		return found, err
	}
	history, err := selected.GetData(ctx, app.KeyHistory)
	if err != nil && !app.Unanswered(err) {
		return found, err
	}
	slots := app.Slots()
	const everyCard = 4
	for _, slot := range slots[:everyCard+app.Retired(history)] {
		if err := c.contentsOf(ctx, slot, &found); err != nil {
			return found, err
		}
	}
	if len(found.lost) > 0 || history != nil {
		return found, nil
	}
	if found.blank, err = c.factoryOnly(ctx); err != nil || !found.blank {
		return found, err
	}
	chuid, err := selected.GetData(ctx, app.CHUID)
	found.blank = err == nil && chuid == nil
	if app.Unanswered(err) {
		err = nil
	}
	return found, err
}

// factoryOnly reports whether PIN, PUK and management key are all known to be the
// factory's.
func (c *onCard) factoryOnly(ctx context.Context) (bool, error) {
	for _, reference := range []byte{byte(app.ApplicationPIN), byte(app.PUK), app.ManagementKey} {
		m, err := c.about(ctx, reference)
		if err != nil && !app.Unanswered(err) {
			return false, err
		}
		if err != nil || m.IsDefault == nil || !*m.IsDefault {
			return false, nil
		}
	}
	return true, nil
}

// contentsOf are key and certificate of a slot.
func (c *onCard) contentsOf(ctx context.Context, slot app.Slot, found *contents) error {
	k := c.key(slot)
	now, err := k.look(ctx)
	if err != nil {
		return err
	}
	switch {
	case now.state == present:
		found.keys = append(found.keys, fmt.Sprintf("key %s (%s)", k.ref, now.named()))
		found.lost = append(found.lost, found.keys[len(found.keys)-1])
		found.withKey = append(found.withKey, slot)
	case now.state == unknown:
		found.keys = append(found.keys, fmt.Sprintf("key %s, if there is one", k.ref))
	}
	certificate := ""
	length, err := k.certificateLength(ctx)
	switch {
	case err != nil && key.Unreachable(ctx, err):
		return err
	case err != nil:
		certificate = fmt.Sprintf("unreadable certificate %s", k.ref)
	case length > 0:
		certificate = fmt.Sprintf("certificate %s (%d bytes)", k.ref, length)
		found.withCertificate = append(found.withCertificate, slot)
	default:
		return nil
	}
	found.certificates, found.lost = append(found.certificates, certificate), append(found.lost, certificate)
	return nil
}

// named is algorithm and fingerprint of a key, as far as they are told.
func (f *found) named() string {
	name := string(f.algorithm)
	if name == "" {
		name = "unknown algorithm"
	}
	if f.public != nil {
		name += ", " + pubkey.Fingerprint(f.public)
	}
	return name
}

// question is what a person confirms.
func (c *onCard) question(found contents, erases bool) advice.Question {
	q := advice.Question{Deed: "Erase", Subject: c.holder(), Lost: card.Losses(found.lost)}
	switch {
	case found.blank:
		q.Deed = "Initialise"
	case !erases:
		q.Deed, q.Lost = "Clear", card.Losses(found.certificates)+" All other data objects are deleted too. PIN, PUK, management key and keys stay, because the card cannot be reset."
	default:
		q.Lost += " Everything in its slots for retired keys and its data objects is lost too. PIN and PUK are blocked first."
	}
	return q
}
