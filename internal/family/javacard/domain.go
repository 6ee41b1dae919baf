package javacard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// domainCard is the security domain of a Java card, with what it tells without a
// key.
type domainCard struct {
	keyless
	guard  *Guard
	domain *gp.SecurityDomain
}

func openDomain(ctx context.Context, line *desk.Line, o card.Opening) (card.Card, error) {
	c, err := selected(ctx, line, o.Now)
	if err != nil {
		return nil, key.Explain(err, "reading the security domain", "")
	}
	line.Note(func(ctx context.Context) error { return c.guard.Pause(ctx, c.domain) })
	line.Same(func(ctx context.Context, ch *iso7816.Channel) (err error) {
		c.domain, err = c.guard.Again(ctx, ch, c.domain.AID())
		return err
	})
	return c, nil
}

// selected selects the issuer's security domain.
func selected(ctx context.Context, line *desk.Line, now func() time.Time) (*domainCard, error) {
	ch, err := line.Channel(ctx)
	if err != nil {
		return nil, err
	}
	guard, err := NewGuard(line, false, now)
	if err != nil {
		return nil, err
	}
	domain, err := gp.Discover(ctx, ch, nil)
	if errors.Is(err, gp.ErrNoSecurityDomain) {
		p := problem.New(problem.NotFound, "this card has no security domain that can be selected").
			Because("The card is not a GlobalPlatform card, or its security domain has an unknown AID.").Advise(advice.Do(advice.ShowCard))
		p.Cause = errors.Join(err, card.ErrLacks)
		return nil, p
	}
	if err != nil {
		return nil, err
	}
	identity := card.Identity{
		Type:         "GlobalPlatform card",
		Applications: []card.Application{{Name: domainApp, AID: fmt.Sprintf("%X", issuerAID())}},
	}
	return &domainCard{keyless{identity}, guard, domain}, nil
}

// DomainInfo is what a Java card tells of its security domain without a key.
// What it does not tell is empty.
type DomainInfo struct {
	KnownKeys KnownKeys `json:"-"`

	// GlobalPlatform is the version of the specification, Protocols the
	// secure channels with their parameter "i".
	GlobalPlatform string    `json:"globalPlatform,omitempty"`
	Protocols      []string  `json:"protocols"`
	Keys           []KeyInfo `json:"keys"`

	// Memory is what is free, Production the production life cycle data.
	Memory     *Memory    `json:"memory,omitempty"`
	Production []gp.Field `json:"production,omitempty"`
}

// KeyInfo is one key of a security domain.
type KeyInfo struct {
	Version byte   `json:"version"`
	ID      byte   `json:"id"`
	Kind    string `json:"kind"` // "AES 128 bit"
}

// Memory is the free memory of a card in bytes, as it tells it.
type Memory struct {
	NonVolatile int `json:"nonVolatile"`
	Volatile    int `json:"volatile"`
}

func (m *Memory) String() string {
	return fmt.Sprintf("%d bytes, and %d of RAM", m.NonVolatile, m.Volatile)
}

// describe says what the card tells of itself. It asks for no keys, and tries
// none.
func (c *domainCard) describe(ctx context.Context) (*DomainInfo, error) {
	info := &DomainInfo{Protocols: []string{}, Keys: []KeyInfo{}}
	keys, err := told(c.domain.KeyInformation(ctx))
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		entry := KeyInfo{Version: k.Version, ID: k.ID, Kind: "unknown kind"}
		if len(k.Components) > 0 {
			entry.Kind = k.Components[0].String()
		}
		info.Keys = append(info.Keys, entry)
	}
	if info.KnownKeys, err = c.guard.known(ctx, c.domain, keys); err != nil {
		return nil, err
	}
	recognition, err := told(c.domain.Recognition(ctx))
	if err != nil {
		return nil, err
	}
	if recognition != nil {
		info.GlobalPlatform = recognition.Version
		for _, p := range recognition.Protocols {
			info.Protocols = append(info.Protocols, p.String())
		}
	}
	memory, err := told(c.domain.Resources(ctx))
	if err != nil {
		return nil, err
	}
	if memory != nil {
		info.Memory = &Memory{NonVolatile: memory.NonVolatile, Volatile: memory.Volatile}
	}
	if err := c.guard.Identify(ctx, c.domain); err != nil {
		return nil, err
	}
	if c.guard.production != nil {
		info.Production = c.guard.production.Fields()
	}
	return info, nil
}

// told takes what a card does not tell, or not as it should, for nothing.
func told[T any](value T, err error) (T, error) {
	var none T
	var refused *gp.CommandError
	if errors.As(err, &refused) || errors.Is(err, gp.ErrMalformed) || errors.Is(err, gp.ErrNotTold) {
		return none, nil
	}
	return value, err
}

// Facts are what the card tells of its security domain, and before it what is
// known of its keys.
func (c *domainCard) Facts(ctx context.Context) ([]card.Fact, error) {
	info, err := c.describe(ctx)
	if err != nil {
		return nil, key.Explain(err, "reading the security domain", "")
	}
	facts := []card.Fact{}
	if info.KnownKeys != KeysNotKnown {
		facts = append(facts, card.Fact{
			Field: "cardKeys", Value: info.KnownKeys, Brief: []card.Line{{Label: "card keys", Value: info.KnownKeys.warning()}},
		})
	}
	return append(facts, card.Fact{Field: "javaCard", Value: info, Lines: info.lines()}), nil
}

// warning is what a person has to know of keys that others may know.
func (k KnownKeys) warning() string {
	if k == KeysOfTests {
		return "the test keys, which everybody knows; replace them"
	}
	return "the factory keys, which others may know; replace them"
}

func (d *DomainInfo) lines() []card.Line {
	lines := []card.Line{{Label: "Security domain"}}
	add := func(label, value string) {
		if value != "" {
			lines = append(lines, card.Line{Label: label, Value: value})
		}
	}
	add("GlobalPlatform", d.GlobalPlatform)
	add("secure channel", strings.Join(d.Protocols, ", "))
	for _, k := range d.Keys {
		add(fmt.Sprintf("key %d", k.ID), fmt.Sprintf("%s, version %d", k.Kind, k.Version))
	}
	if d.Memory != nil {
		add("free", d.Memory.String())
	}
	if len(d.Production) > 0 {
		lines = append(lines, card.Line{Label: "Production"})
	}
	for _, field := range d.Production {
		if strings.Trim(field.Value, "0") == "" {
			continue // nobody filled it in
		}
		value := field.Value
		if field.Meaning != "" {
			value += ": " + field.Meaning
		}
		add(field.Name, value)
	}
	return lines
}
