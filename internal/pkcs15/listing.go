package pkcs15

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"github.com/cardctl/cardctl/internal/runner"
	"strconv"
	"strings"
)

// missingStructure tells a card without PKCS#15 from other failures, by the
// message that sc_pkcs15_bind leaves.
func missingStructure(err error) error {
	if failed := failure(err); failed != nil && strings.HasPrefix(failed.message, "PKCS#15 binding failed") {
		return fmt.Errorf("%w: %w", errNoStructure, err)
	}
	return err
}

// parseListing reads what pkcs15-tool --dump prints: a heading for each object,
// and indented lines "name : value" below it.
func parseListing(out []byte) (*Directory, error) {
	d := &Directory{has: everything, named: true}
	read := func(string, string) error { return nil }
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, runner.OutputLimit+1)
	for lines.Scan() {
		line := lines.Text()
		name, value, ok := strings.Cut(line, ":")
		switch {
		case line == "":
			continue
		case !strings.HasPrefix(line, "\t"):
			read = d.heading(line)
		case ok:
			if err := read(strings.TrimSpace(name), strings.TrimSpace(value)); err != nil {
				return nil, fmt.Errorf("%w: pkcs15-tool: %q: %w", errMalformed, printable([]byte(line)), err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: pkcs15-tool: %w", errMalformed, err)
	}
	distinguish(d.PINs)
	return d, d.check()
}

// heading begins an object and returns what reads its lines.
func (d *Directory) heading(line string) func(name, value string) error {
	kind, rest, _ := strings.Cut(line, "[")
	label := printable([]byte(strings.TrimSuffix(strings.TrimSuffix(rest, ":"), "]")))
	switch kind = strings.TrimSpace(kind); {
	case kind == "PKCS#15 Card":
		d.Label = label
		return d.cardLine
	case kind == "PIN":
		d.PINs = append(d.PINs, PIN{Label: label, TriesLeft: -1})
		return func(name, value string) error { return d.PINs[len(d.PINs)-1].line(name, value) }
	case strings.HasPrefix(kind, "Private ") && strings.HasSuffix(kind, " Key"):
		d.Keys = append(d.Keys, PrivateKey{Label: label, EC: kind == "Private EC Key"})
		return func(name, value string) error { return d.Keys[len(d.Keys)-1].line(name, value) }
	case strings.HasPrefix(kind, "Public ") && strings.HasSuffix(kind, " Key"):
		d.PublicKeys = append(d.PublicKeys, PublicKey{Label: label})
		return func(name, value string) error { return idLine(name, value, &d.PublicKeys[len(d.PublicKeys)-1].ID) }
	case kind == "X.509 Certificate":
		d.Certificates = append(d.Certificates, Certificate{Label: label})
		return func(name, value string) error { return d.Certificates[len(d.Certificates)-1].line(name, value) }
	}
	return func(string, string) error { return nil }
}

func (d *Directory) cardLine(name, value string) error {
	switch name {
	case "Serial number":
		d.Serial = strings.ToUpper(printable([]byte(value)))
	case "Manufacturer ID":
		d.Manufacturer = printable([]byte(value))
	}
	return nil
}

func (p *PIN) line(name, value string) (err error) {
	switch name {
	case "ID":
		p.ID = strings.ToUpper(value)
		_, err = hex.DecodeString(p.ID)
	case "Flags":
		p.SO = strings.Contains(value, "soPin")
		p.Unblocking = strings.Contains(value, "unblockingPin")
	case "Length":
		_, err = fmt.Sscanf(value, "min_len:%d, max_len:%d", &p.Min, &p.Max)
	case "Reference":
		p.Reference, err = leadingNumber(value)
	case "Tries left":
		p.TriesLeft, err = leadingNumber(value)
	case "Path":
		var path []byte
		path, err = hex.DecodeString(value)
		p.path = string(path)
	case "Auth ID":
		p.unblockedBy = strings.ToUpper(value)
	}
	return err
}

func (k *PrivateKey) line(name, value string) (err error) {
	switch name {
	case "ModLength", "FieldLength":
		k.Bits, err = leadingNumber(value)
	case "Key ref":
		k.Reference, err = leadingNumber(value)
	case "Auth ID":
		k.AuthID = strings.ToUpper(value)
	case "Usage":
		mask, _, _ := strings.Cut(strings.TrimPrefix(value, "["), "]")
		var n uint64
		n, err = strconv.ParseUint(mask, 0, 32)
		k.Usage = Usage(n)
	default:
		err = idLine(name, value, &k.ID)
	}
	if err == nil && name == "ID" {
		k.Raw = append([]byte(k.Label+"\x00"), k.ID...)
	}
	return err
}

func (c *Certificate) line(name, value string) error {
	if name == "Authority" {
		c.Authority = value == "yes"
		return nil
	}
	return idLine(name, value, &c.ID)
}

func idLine(name, value string, id *[]byte) (err error) {
	if name == "ID" {
		*id, err = hex.DecodeString(value)
	}
	return err
}

// leadingNumber reads "1 (0x01)".
func leadingNumber(value string) (int, error) {
	digits, _, _ := strings.Cut(value, " ")
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), err
}

// check refuses a listing in which objects are not named.
func (d *Directory) check() error {
	for _, k := range d.Keys {
		if len(k.ID) == 0 {
			return fmt.Errorf("%w: pkcs15-tool lists a key without an ID", errMalformed)
		}
	}
	return nil
}
