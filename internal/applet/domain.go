package applet

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/gp"
)

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
	Memory     *MemoryReport `json:"memory,omitempty"`
	Production []gp.Field    `json:"production,omitempty"`
}

// KeyInfo is one key of a security domain.
type KeyInfo struct {
	Version byte   `json:"version"`
	ID      byte   `json:"id"`
	Kind    string `json:"kind"` // "AES 128 bit"
}

// DescribeDomain says what a Java card tells of itself. It asks for no keys, and
// tries none.
func DescribeDomain(ctx context.Context, a Access) (*DomainInfo, error) {
	d, err := gp.Discover(ctx, a.Channel, a.ISD)
	var info *DomainInfo
	if err == nil {
		info, err = describe(ctx, d, a)
	}
	return info, explain(err, "looking at the security domain", "")
}

func describe(ctx context.Context, d *gp.SecurityDomain, a Access) (*DomainInfo, error) {
	info := &DomainInfo{Protocols: []string{}, Keys: []KeyInfo{}}
	keys, err := told(d.KeyInformation(ctx))
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		entry := KeyInfo{Version: k.Version, ID: k.ID}
		if len(k.Components) > 0 {
			entry.Kind = k.Components[0].String()
		}
		info.Keys = append(info.Keys, entry)
	}
	if info.KnownKeys, err = knownKeys(ctx, d, keys, a); err != nil {
		return nil, err
	}
	recognition, err := told(d.Recognition(ctx))
	if err != nil {
		return nil, err
	}
	if recognition != nil {
		info.GlobalPlatform = recognition.Version
		for _, p := range recognition.Protocols {
			info.Protocols = append(info.Protocols, p.String())
		}
	}
	memory, err := told(d.Resources(ctx))
	if err != nil {
		return nil, err
	}
	if memory != nil {
		info.Memory = &MemoryReport{NonVolatile: memory.NonVolatile, Volatile: memory.Volatile}
	}
	production, err := told(d.CPLC(ctx))
	if err != nil {
		return nil, err
	}
	if production != nil {
		info.Production = production.Fields()
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
