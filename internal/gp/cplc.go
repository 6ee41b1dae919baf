package gp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// cplcLength is the length of the card production life cycle data in bytes.
const cplcLength = 42

// CPLC is the card production life cycle data, 42 bytes (tag 9F7F; VISA
// GlobalPlatform 2.1.1, 10.2).
type CPLC [cplcLength]byte

// CPLC reads the card production life cycle data. A card without it is a
// *CommandError. An answer that does not say so is no reason to take the card for one
// without: the card is asked once more.
func (d *SecurityDomain) CPLC(ctx context.Context) (*CPLC, error) {
	data, err := d.object(ctx, tagCPLC)
	var refused *CommandError
	if errors.As(err, &refused) && !refused.Status.Lacks() {
		data, err = d.object(ctx, tagCPLC)
	}
	if err != nil {
		return nil, err
	}
	return ParseCPLC(data)
}

// ParseCPLC reads the value of tag 9F7F.
func ParseCPLC(data []byte) (*CPLC, error) {
	if len(data) != cplcLength {
		return nil, malformed("%d bytes of card production life cycle data", len(data))
	}
	c := CPLC(data)
	return &c, nil
}

// Serial names the chip: fabrication date, serial number and batch of the
// integrated circuit, 16 hex digits; empty where nobody filled them in.
func (c *CPLC) Serial() string {
	if Blank(c[10:18]) {
		return ""
	}
	return fmt.Sprintf("%X", c[10:18])
}

// Blank reports whether all bytes are 00, or all FF: nothing was written there.
func Blank(b []byte) bool {
	return len(bytes.Trim(b, "\x00")) == 0 || len(bytes.Trim(b, "\xFF")) == 0
}

// Field is one field of the card production life cycle data in words.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Meaning is the maker or the day that the value stands for, if any.
	Meaning string `json:"meaning,omitempty"`
}

// Fields are the fields in order.
func (c *CPLC) Fields() []Field {
	layout := []struct {
		name   string
		length int
		words  func([]byte) string
	}{
		{"IC fabricator", 2, maker},
		{"IC type", 2, nil},
		{"operating system", 2, maker},
		{"operating system release date", 2, day},
		{"operating system release level", 2, nil},
		{"IC fabrication date", 2, day},
		{"IC serial number", 4, nil},
		{"IC batch identifier", 2, nil},
		{"IC module fabricator", 2, maker},
		{"IC module packaging date", 2, day},
		{"ICC manufacturer", 2, maker},
		{"IC embedding date", 2, day},
		{"IC pre-personaliser", 2, maker},
		{"IC pre-personalisation date", 2, day},
		{"IC pre-personalisation equipment", 4, nil},
		{"IC personaliser", 2, maker},
		{"IC personalisation date", 2, day},
		{"IC personalisation equipment", 4, nil},
	}
	fields := make([]Field, 0, len(layout))
	rest := c[:]
	for _, l := range layout {
		field := Field{Name: l.name, Value: fmt.Sprintf("%X", rest[:l.length])}
		if l.words != nil {
			field.Meaning = l.words(rest[:l.length])
		}
		fields = append(fields, field)
		rest = rest[l.length:]
	}
	return fields
}

// maker is the company that has a number, as far as companies made theirs
// public.
func maker(b []byte) string {
	return map[uint16]string{
		0x3060: "Renesas", 0x4070: "NXP", 0x4090: "Infineon", 0x4180: "Atmel", 0x4250: "Samsung",
		0x4750: "STMicroelectronics", 0x4790: "NXP", 0x4791: "NXP", 0x1671: "Gemalto", 0x1981: "Schlumberger",
		0x2050: "Oberthur", 0x1291: "Giesecke & Devrient", 0x6155: "Feitian",
	}[binary.BigEndian.Uint16(b)]
}

// day reads a date of four digits: the last digit of the year, and the day of
// the year. Which decade it is nobody can know.
func day(b []byte) string {
	n := 0
	for _, digit := range []byte{b[0] & 0xF, b[1] >> 4, b[1] & 0xF} {
		if digit > 9 {
			return ""
		}
		n = n*10 + int(digit)
	}
	if year := b[0] >> 4; year <= 9 && n >= 1 && n <= 366 {
		return fmt.Sprintf("day %d of a year that ends in %d", n, year)
	}
	return ""
}
