package piv

import (
	"context"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
)

// facts are what a PIV card reports beside its keys and PINs.
type facts struct {
	Firmware string `json:"firmware,omitempty"`
	// FactoryValues are those of PIN, PUK and management key that are known to be the
	// factory's.
	FactoryValues []string `json:"factoryValues,omitempty"`
	// UnknownKeys are the slots of which the card does not report whether they hold a
	// key.
	UnknownKeys []string `json:"unknownKeys,omitempty"`
	// WeakRSA says that the firmware generates weak RSA keys.
	WeakRSA bool `json:"weakRSA,omitempty"`
}

// Facts are the firmware, factory values, and slots that are not known.
func (c *onCard) Facts(ctx context.Context) ([]card.Fact, error) {
	var f facts
	firmware, err := c.version(ctx)
	if err != nil {
		return nil, explain(err, "reading the card", "")
	}
	if firmware != (app.Firmware{}) {
		f.Firmware, f.WeakRSA = firmware.String(), weakRSA(firmware)
	}
	if f.FactoryValues, err = c.factoryValues(ctx); err != nil {
		return nil, explain(err, "reading the card", "")
	}
	fact := card.Fact{Field: "piv", Brief: []card.Line{{Label: "firmware", Value: f.Firmware}}}
	for _, slot := range app.Slots() {
		if is, looked := c.looked[slot]; looked && is == unknown {
			f.UnknownKeys = append(f.UnknownKeys, referenceOf(slot).String())
		}
	}
	if len(f.UnknownKeys) > 0 {
		fact.Lines = append(fact.Lines, card.Line{Label: "Slots that may hold a key, which this card does not report"},
			card.Line{Label: "slots", Value: strings.Join(f.UnknownKeys, ", ")})
	}
	if len(f.FactoryValues) > 0 {
		fact.Lines = append(fact.Lines, card.Line{Label: "Factory values, which anyone knows"},
			card.Line{Label: "unchanged", Value: strings.Join(f.FactoryValues, ", ")})
	}
	if f.WeakRSA {
		fact.Lines = append(fact.Lines, card.Line{Label: "RSA keys that were generated on this card are weak (CVE-2017-15361)"})
	}
	fact.Value = f
	return []card.Fact{fact}, nil
}

// weakRSA are the firmware versions that make RSA keys which can be factored, 4.2.0 to
// 4.3.4 (Yubico security advisory YSA-2017-01, CVE-2017-15361).
func weakRSA(f app.Firmware) bool {
	return f[0] == 4 && (f[1] == 2 || f[1] == 3 && f[2] <= 4)
}

// factoryValues are told by metadata alone.
func (c *onCard) factoryValues(ctx context.Context) (names []string, err error) {
	told, err := c.valuesOfFactory(ctx)
	if err != nil {
		return nil, err
	}
	for _, value := range told.Factory {
		names = append(names, value.Name)
	}
	return names, nil
}

// valuesOfFactory are those of PIN, PUK and management key, and those of which the card
// does not tell.
func (c *onCard) valuesOfFactory(ctx context.Context) (*card.Exposure, error) {
	told := &card.Exposure{}
	for _, value := range []struct {
		reference byte
		card.FactoryValue
	}{
		{byte(app.ApplicationPIN), card.FactoryValue{Name: "PIN", Change: advice.Do(advice.SetPIN, advice.Set(advice.App, name)).On(string(pin.User))}},
		{byte(app.PUK), card.FactoryValue{Name: "PUK", Change: advice.Do(advice.SetPIN, advice.Set(advice.App, name)).On(string(pin.PUK))}},
		{app.ManagementKey, card.FactoryValue{Name: "management key", Change: advice.Do(advice.SetManagementKey, advice.Fill(advice.GenerateManagementKey))}},
	} {
		m, err := c.about(ctx, value.reference)
		switch {
		case err != nil && !app.Unanswered(err):
			return nil, err
		case err != nil || m.IsDefault == nil:
			told.Unknown = append(told.Unknown, value.Name)
		case *m.IsDefault:
			told.Factory = append(told.Factory, value.FactoryValue)
		}
	}
	return told, nil
}

// exposure is that of the card on a line, weak RSA keys included: those of which the card
// does not say that they were imported.
func exposure(ctx context.Context, line *desk.Line) (*card.Exposure, error) {
	opened, err := open(ctx, line, card.Opening{App: name})
	if errors.Is(err, card.ErrLacks) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := opened.(*onCard)
	told, err := c.valuesOfFactory(ctx)
	if err != nil {
		return nil, explain(err, "reading the card", "")
	}
	firmware, err := c.version(ctx)
	if err != nil || !weakRSA(firmware) {
		return told, explain(err, "reading the card", "")
	}
	keys, err := c.Keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		o, err := k.Occupant(ctx)
		if err != nil {
			return nil, err
		}
		if o != nil && o.Origin != origins[originImported] && strings.HasPrefix(string(o.Algorithm), "rsa") {
			told.Weak = append(told.Weak, k.Reference().String())
		}
	}
	told.Why = "CVE-2017-15361"
	return told, nil
}
