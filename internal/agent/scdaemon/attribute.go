package scdaemon

import (
	"context"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// learnt are the attributes that LEARN tells of.
var learnt = []string{
	"APPTYPE", "EXTCAP", "MANUFACTURER", "DISP-NAME", "DISP-LANG", "DISP-SEX", "PUBKEY-URL", "LOGIN-DATA", "KEY-FPR", "KEY-TIME", "CHV-STATUS",
	"SIG-COUNTER", "KDF", "UIF-1", "UIF-2", "UIF-3",
}

// objects are the attributes that are data objects of an OpenPGP card (4.4.1), with their tags.
var objects = map[string]uint32{
	"DISP-NAME": 0x5B, "LOGIN-DATA": 0x5E, "DISP-LANG": 0x5F2D, "DISP-SEX": 0x5F35, "PUBKEY-URL": 0x5F50,
	"SIG-COUNTER": 0x93, "UIF-1": 0xD6, "UIF-2": 0xD7, "UIF-3": 0xD8, "KDF": 0xF9,
}

func (s *session) getAttribute(ctx context.Context, a arguments) error {
	c, err := s.selected(ctx)
	if grip := a.word(1); grip != "" {
		var k *key
		if k, err = s.withGrip(ctx, grip); err == nil {
			c = k.card
		}
	}
	if err != nil {
		return err
	}
	keys, err := c.keys(ctx)
	if err != nil {
		return err
	}
	values, err := attribute(ctx, c, keys, a.word(0))
	if err != nil {
		return err
	}
	s.tell(a.word(0), values)
	return nil
}

func (s *session) tell(name string, values []string) {
	for _, value := range values {
		s.out.status(name, value)
	}
}

// attribute are the values of an attribute, a status line each.
func attribute(ctx context.Context, c *card, keys []*key, name string) ([]string, error) {
	switch name {
	case "SERIALNO":
		return []string{c.serial}, nil
	case "APPTYPE":
		return []string{c.app}, nil
	case "$DISPSERIALNO":
		if c.isOpenPGP() {
			return []string{c.serial[16:28]}, nil // manufacturer and number
		}
		return known(c.about.Serial)
	case "$SIGNKEYID":
		return first(keys, "s")
	case "$ENCRKEYID":
		return first(keys, "e")
	case "$AUTHKEYID":
		return first(keys, "a")
	case "DISP-NAME":
		if !c.isOpenPGP() {
			return known(c.about.Label)
		}
	case "KEY-ATTR":
		return each(keys, (*key).attributes), nil
	case "KEY-FPR":
		return each(keys, (*key).fingerprint), nil
	case "KEY-TIME":
		return each(keys, (*key).created), nil
	}
	if c.isOpenPGP() {
		return ofOpenPGP(ctx, c, keys, name)
	}
	return nil, fail(errInvalidName, "")
}

func known(value string) ([]string, error) {
	if value == "" {
		return nil, fail(errNoData, "")
	}
	return []string{plus(value)}, nil
}

// first is the reference of the first key with a letter in its usage.
func first(keys []*key, letter string) ([]string, error) {
	i := slices.IndexFunc(keys, func(k *key) bool { return strings.Contains(k.usage, letter) })
	if i < 0 {
		return nil, fail(errNoData, "")
	}
	return []string{keys[i].ref}, nil
}

// ofOpenPGP are attributes that only OpenPGP cards have.
func ofOpenPGP(ctx context.Context, c *card, keys []*key, name string) ([]string, error) {
	switch name {
	case "EXTCAP":
		return capabilities(ctx, c)
	case "MANUFACTURER":
		return []string{strconv.Itoa(int(binary.BigEndian.Uint16(c.about.AID[8:]))) + " " + c.about.Maker}, nil // the only text without escapes
	case "CHV-STATUS":
		return passwordStatus(c, keys)
	}
	tag, is := objects[name]
	if !is {
		return nil, fail(errInvalidName, "")
	}
	has, err := c.objects(ctx)
	value, there := has[tag]
	switch {
	case err != nil || !there: // one that the card does not have is no error for GnuPG
		return nil, err
	case name == "SIG-COUNTER":
		return []string{new(big.Int).SetBytes(value).String()}, nil
	}
	return []string{plus(string(value))}, nil
}

// capabilities are those that gpg shows a setting for. Nothing can be changed here, whatever
// the card could do.
func capabilities(ctx context.Context, c *card) ([]string, error) {
	has, err := c.objects(ctx)
	if err != nil {
		return nil, err
	}
	shown := map[bool]int{true: 1}
	return []string{fmt.Sprintf("gc=0+ki=0+fc=0+pd=0+mcl3=0+aac=0+sm=0+si=0+dec=0+bt=%d+kdf=%d",
		shown[has[objects["UIF-1"]] != nil], shown[has[objects["KDF"]] != nil])}, nil
}

// passwordStatus are the PW status bytes (OpenPGP card, 4.3.1, tag C4).
func passwordStatus(c *card, keys []*key) ([]string, error) {
	if len(c.about.Tries) != 3 {
		return nil, fail(errNoData, "")
	}
	several := 1
	if slices.ContainsFunc(keys, func(k *key) bool { return k.about.Always }) {
		several = 0
	}
	most, tries := c.about.MaxPIN, c.about.Tries
	return []string{fmt.Sprintf("+%d+%d+%d+%d+%d+%d+%d", several, most, most, most, tries[0], tries[1], tries[2])}, nil
}

// each are the values that keys have for an attribute with a line for each place.
func each(keys []*key, value func(*key) string) (values []string) {
	for _, k := range keys {
		number := slices.Index([]string{"", "signature", "decryption", "authentication"}, k.about.Place)
		if v := value(k); number > 0 && v != "" {
			values = append(values, strconv.Itoa(number)+" "+v)
		}
	}
	return values
}

// attributes are the algorithm attributes.
func (k *key) attributes() string {
	if public, ok := k.about.Public.(*rsa.PublicKey); ok {
		return fmt.Sprintf("%d %s %d 0", algorithmRSA, algorithmName(public), bits.Len(uint(public.E)))
	}
	return fmt.Sprintf("%d %s", k.algorithm(), algorithmName(k.about.Public))
}

func (k *key) fingerprint() string { return fmt.Sprintf("%X", k.about.Fingerprint) }

func (k *key) created() string {
	if k.about.Created.IsZero() {
		return ""
	}
	return strconv.FormatInt(k.about.Created.Unix(), 10)
}
