package gp

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Tags of GET DATA (11.3.3.1, appendix H).
const (
	tagIIN            iso7816.Tag = 0x42
	tagCIN            iso7816.Tag = 0x45
	tagCardData       iso7816.Tag = 0x66
	tagKeyInformation iso7816.Tag = 0xE0
	tagCPLC           iso7816.Tag = 0x9F7F
	tagResources      iso7816.Tag = 0xFF21
)

// GetData is GET DATA (11.3), outside the secure channel if none is open. It
// returns the answer as it came.
func (d *SecurityDomain) GetData(ctx context.Context, tag iso7816.Tag) ([]byte, error) {
	d.reads++
	return d.send(ctx, "GET DATA", iso7816.Command{
		CLA: classGP, INS: iso7816.InsGetData, P1: byte(tag >> 8), P2: byte(tag), Ne: iso7816.MaxShortNe,
	})
}

// object reads one data object and returns what is inside its tag, which some
// cards leave out.
func (d *SecurityDomain) object(ctx context.Context, tag iso7816.Tag) ([]byte, error) {
	raw, err := d.GetData(ctx, tag)
	if err != nil {
		return nil, err
	}
	if object, rest, err := iso7816.ParseTLV(raw); err == nil && object.Tag == tag && len(rest) == 0 {
		return object.Value, nil
	}
	return raw, nil
}

// Recognition is the card recognition data (H.2): what the card says that it
// implements.
type Recognition struct {
	// Version is that of the GlobalPlatform specification, "2.2.1"; empty
	// where it is not told.
	Version   string
	Protocols []Protocol

	// JavaCard is the major version of Java Card, 2 or 3; 0 where it is not told.
	JavaCard int
}

// Recognition is the recognition data. They are read with GET DATA of the card
// data, tag 66, where SELECT did not tell them.
func (d *SecurityDomain) Recognition(ctx context.Context) (*Recognition, error) {
	if d.recognition != nil {
		return d.recognition, nil
	}
	data, err := d.object(ctx, tagCardData)
	if err != nil {
		return nil, err
	}
	inner, ok := iso7816.FindTLV(data, 0x73)
	if !ok {
		return nil, malformed("card data without recognition data")
	}
	d.recognition, err = parseRecognition(inner)
	return d.recognition, err
}

// Object identifiers of GlobalPlatform, 1.2.840.114283, and what follows; and of
// the versions of Java Card, 1.3.6.1.4.1.42.2.110.1.
const (
	oidManagement = "\x2A\x86\x48\x86\xFC\x6B\x02"
	oidProtocol   = "\x2A\x86\x48\x86\xFC\x6B\x04"
	oidJavaCard   = "\x2B\x06\x01\x04\x01\x2A\x02\x6E\x01"
)

// Tags of the recognition data that hold object identifiers (table H-1).
const (
	tagManagement  iso7816.Tag = 0x60
	tagProtocol    iso7816.Tag = 0x64
	tagCardDetails iso7816.Tag = 0x65
	tagChipDetails iso7816.Tag = 0x66
)

func parseRecognition(inner []byte) (*Recognition, error) {
	list, err := iso7816.ParseTLVs(inner)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r := &Recognition{}
	for _, object := range list {
		oids, err := iso7816.ParseTLVs(object.Value)
		switch object.Tag {
		case tagManagement, tagProtocol:
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
			}
		case tagCardDetails, tagChipDetails: // of the maker's own, and nothing depends on it
		default:
			continue
		}
		for _, oid := range oids {
			if oid.Tag == 0x06 {
				r.read(object.Tag, string(oid.Value))
			}
		}
	}
	return r, nil
}

// read takes what one object identifier says.
func (r *Recognition) read(tag iso7816.Tag, oid string) {
	if tail, ok := cutPrefix(oid, oidManagement); ok && tag == tagManagement {
		for i := range len(tail) {
			if i > 0 {
				r.Version += "."
			}
			r.Version += fmt.Sprint(tail[i])
		}
	}
	if tail, ok := cutPrefix(oid, oidProtocol); ok && tag == tagProtocol && len(tail) == 2 {
		r.Protocols = append(r.Protocols, Protocol{SCP: tail[0], I: tail[1]})
	}
	if tail, ok := cutPrefix(oid, oidJavaCard); ok && tag != tagManagement && tag != tagProtocol && len(tail) == 1 {
		r.JavaCard = int(tail[0])
	}
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) <= len(prefix) || s[:len(prefix)] != prefix {
		return "", false
	}
	return s[len(prefix):], true
}

// ImageNumber is the card image number, tag 45, after the issuer identification
// number, tag 42: together they name a card (H.4). It is empty for a card that has
// none.
func (d *SecurityDomain) ImageNumber(ctx context.Context) ([]byte, error) {
	image, err := d.object(ctx, tagCIN)
	var refused *CommandError
	if errors.As(err, &refused) {
		return nil, nil
	}
	if err != nil || len(image) == 0 {
		return nil, err
	}
	issuer, err := d.object(ctx, tagIIN)
	if errors.As(err, &refused) {
		err = nil
	}
	return append(issuer, image...), err
}

// Resources is what a card tells of its memory in bytes (ETSI TS 102 226,
// 8.2.1.7).
type Resources struct {
	Applications          int
	NonVolatile, Volatile int
}

// ErrNotTold is a card that does not tell what was asked for.
var ErrNotTold = errors.New("the card does not report")

// Resources reads the extended card resources, tag FF21. A card that has none
// is ErrNotTold.
func (d *SecurityDomain) Resources(ctx context.Context) (*Resources, error) {
	data, err := d.object(ctx, tagResources)
	var refused *CommandError
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("%w its memory: %w", ErrNotTold, err)
	}
	if err != nil {
		return nil, err
	}
	list, err := iso7816.ParseTLVs(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	r := &Resources{}
	seen := 0
	for _, object := range list {
		field := map[iso7816.Tag]*int{0x81: &r.Applications, 0x82: &r.NonVolatile, 0x83: &r.Volatile}[object.Tag]
		if field == nil || len(object.Value) > 4 {
			continue
		}
		for _, b := range object.Value {
			*field = *field<<8 | int(b)
		}
		seen++
	}
	if seen == 0 {
		return nil, fmt.Errorf("%w its memory", ErrNotTold)
	}
	return r, nil
}
