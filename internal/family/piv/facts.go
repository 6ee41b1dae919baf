package piv

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/card"
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
	for _, value := range []struct {
		reference byte
		name      string
	}{{byte(app.ApplicationPIN), "PIN"}, {byte(app.PUK), "PUK"}, {app.ManagementKey, "management key"}} {
		m, err := c.about(ctx, value.reference)
		if err != nil && !app.Unanswered(err) {
			return nil, err
		}
		if err == nil && m.IsDefault != nil && *m.IsDefault {
			names = append(names, value.name)
		}
	}
	return names, nil
}
