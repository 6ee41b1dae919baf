package cardinit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/openpgp"
)

// contents is what init finds on a card.
type contents struct {
	serial string
	lost   []string // keys and certificates
	// blank is a card without keys and certificates, on which no PIN was
	// entered wrongly; one that can be erased has no resetting code either.
	blank      bool
	erasable   bool
	terminated bool
	data       *openpgp.ApplicationRelatedData
}

// factoryTries is how many tries a PIN has at least from the factory.
const factoryTries = 3

func (w *work) look(ctx context.Context) (contents, error) {
	if w.card.Terminated() {
		return contents{serial: "in termination state", terminated: true, erasable: true}, nil
	}
	data, err := w.card.ApplicationRelatedData(ctx)
	if err != nil {
		return contents{}, err
	}
	c := contents{serial: data.AID.Serial(), erasable: data.LifeCycle(), data: data}
	slots := openpgp.Slots()
	for _, slot := range slices.Backward(slots[:]) { // the last one's certificate needs no SELECT DATA
		if k := data.Key(slot); k.State == openpgp.KeyGenerated || k.State == openpgp.KeyImported || k.Fingerprint != [20]byte{} {
			c.lost = append(c.lost, fmt.Sprintf("key OPENPGP.%d (%s, %X)", slot, k.Attributes.Name(), k.Fingerprint[:]))
		}
		if !data.HasCertificate(slot) {
			continue
		}
		value, err := w.card.Certificate(ctx, slot)
		var refused *iso7816.StatusError
		if err != nil && !errors.As(err, &refused) {
			return c, err
		}
		if len(value) > 0 {
			c.lost = append(c.lost, fmt.Sprintf("certificate OPENPGP.%d (%d bytes)", slot, len(value)))
		}
	}
	slices.Sort(c.lost)
	p := &data.Passwords
	c.blank = len(c.lost) == 0 && (p.RC.TriesLeft == 0 || !c.erasable) &&
		p.PW1.TriesLeft >= factoryTries && p.PW3.TriesLeft >= factoryTries
	return c, nil
}

// question is what a person confirms.
func (c *contents) question() string {
	if c.terminated {
		return "Initialise the OpenPGP card, which was erased and not started again?"
	}
	if c.blank {
		return fmt.Sprintf("Initialise OpenPGP card %s? There are no keys and certificates on it.", c.serial)
	}
	lost := "There are no keys and certificates on it."
	if len(c.lost) > 0 {
		lost = "These will be lost: " + strings.Join(c.lost, ", ") + "."
	}
	return fmt.Sprintf("Erase OpenPGP card %s? %s", c.serial, lost)
}
