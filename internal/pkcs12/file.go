package pkcs12

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/pbe"
)

// Limits for what a file may hold and ask for.
const (
	maxContents   = 1000
	maxBags       = 10_000
	maxNested     = 4          // SafeContents in each other
	maxIterations = 10_000_000 // of all passwords in one file together
)

// The types of content of RFC 2315, 14, and of bags of RFC 7292, 4.2.
const (
	oidData            = "1.2.840.113549.1.7.1"
	oidEncryptedData   = "1.2.840.113549.1.7.6"
	oidKeyBag          = "1.2.840.113549.1.12.10.1.1"
	oidShroudedKeyBag  = "1.2.840.113549.1.12.10.1.2"
	oidCertBag         = "1.2.840.113549.1.12.10.1.3"
	oidSafeContentsBag = "1.2.840.113549.1.12.10.1.6"
	oidX509            = "1.2.840.113549.1.9.22.1"
	oidFriendlyName    = "1.2.840.113549.1.9.20"
)

// file is a PFX, RFC 7292, 4.
type file struct {
	// safe is the AuthenticatedSafe as it is, over which the MAC goes.
	safe []byte
	mac  *pbe.MAC
}

func parse(data []byte) (*file, error) {
	const most = 3
	pfx, _, err := ber.Read(data)
	if err != nil {
		return nil, err
	}
	parts, err := pfx.Elements(most)
	if err != nil || len(parts) < 2 {
		return nil, orMalformed(err)
	}
	kind, content, err := contentInfo(parts[1])
	if err != nil {
		return nil, err
	}
	if kind != oidData {
		return nil, fmt.Errorf("%w: it is protected by a public key (%s)", pbe.ErrUnsupported, kind)
	}
	f := &file{}
	if f.safe, err = content.Octets(); err != nil {
		return nil, err
	}
	if len(parts) == most {
		mac, err := pbe.ParseMAC(parts[2])
		if err != nil {
			return nil, err
		}
		f.mac = &mac
	}
	return f, nil
}

func orMalformed(err error) error {
	if err == nil {
		return ber.ErrMalformed
	}
	return err
}

// contentInfo reads a ContentInfo (RFC 2315, 7).
func contentInfo(e ber.Element) (kind string, content ber.Element, err error) {
	list, err := e.Elements(2)
	if err != nil || len(list) != 2 || !list[1].IsContext(0) {
		return "", content, orMalformed(err)
	}
	oid, err := list[0].ObjectIdentifier()
	if err != nil {
		return "", content, err
	}
	inner, err := list[1].Elements(1)
	if err != nil || len(inner) != 1 {
		return "", content, orMalformed(err)
	}
	return oid.String(), inner[0], nil
}

// opening is one try to open a file.
type opening struct {
	ctx      context.Context
	password pbe.Password
	left     int // iterations
	bags     int
	contents Contents
}

func (f *file) open(ctx context.Context, password pbe.Password) (contents Contents, err error) {
	o := &opening{ctx: ctx, password: password, left: maxIterations, bags: maxBags}
	defer func() {
		if err != nil {
			o.contents.Wipe()
			contents = Contents{}
		}
	}()
	if f.mac != nil {
		if err := o.spend(f.mac.Iterations); err != nil {
			return contents, err
		}
		if err := f.mac.Verify(ctx, password, f.safe); err != nil {
			return contents, err
		}
	}
	err = o.safe(f.safe)
	if err != nil && f.mac != nil && errors.Is(err, pbe.ErrPassword) {
		// The password is right. Some programs take it in UTF-16 for all schemes.
		o.contents.Wipe()
		o = &opening{ctx: ctx, password: pbe.Password{UTF8: password.BMP, BMP: password.BMP}, left: o.left, bags: maxBags}
		err = o.safe(f.safe)
	}
	return o.contents, err
}

// spend takes iterations off what a file may ask for, before the work.
func (o *opening) spend(iterations int) error {
	if o.left -= iterations; o.left < 0 {
		return fmt.Errorf("%w: %d iterations are the most in one file", pbe.ErrBounds, maxIterations)
	}
	return o.ctx.Err()
}

// safe reads an AuthenticatedSafe, RFC 7292, 4.1.
func (o *opening) safe(data []byte) error {
	outer, _, err := ber.Read(data)
	if err != nil {
		return err
	}
	list, err := outer.Elements(maxContents)
	if err != nil {
		return err
	}
	for _, info := range list {
		kind, content, err := contentInfo(info)
		if err != nil {
			return err
		}
		switch kind {
		case oidData:
			plain, err := content.Octets()
			if err != nil {
				return err
			}
			if err := o.bagsIn(plain, 0); err != nil {
				return err
			}
		case oidEncryptedData:
			if err := o.encrypted(content); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: a part of it has the type %s", pbe.ErrUnsupported, kind)
		}
	}
	return nil
}

// encrypted reads EncryptedData, RFC 2315, 13.
func (o *opening) encrypted(data ber.Element) error {
	const most = 3
	parts, err := data.Elements(most)
	if err != nil || len(parts) < 2 {
		return orMalformed(err)
	}
	info, err := parts[1].Elements(most)
	if err != nil || len(info) != most || !info[2].IsContext(0) {
		return orMalformed(err)
	}
	ciphertext, err := info[2].Octets()
	if err != nil {
		return err
	}
	plain, err := o.decrypt(info[1], ciphertext)
	if err != nil {
		return err
	}
	if outer, rest, err := ber.Read(plain); err != nil || !outer.Is(ber.Sequence) || len(bytes.TrimRight(rest, "\x00")) > 0 {
		return pbe.ErrPassword // the padding was right by chance
	}
	return o.bagsIn(plain, 0)
}

func (o *opening) decrypt(algorithm ber.Element, ciphertext []byte) ([]byte, error) {
	scheme, err := pbe.Parse(algorithm)
	if err != nil {
		return nil, err
	}
	if err := o.spend(scheme.Iterations); err != nil {
		return nil, err
	}
	return scheme.Decrypt(o.ctx, o.password, ciphertext)
}

// bagsIn reads SafeContents, RFC 7292, 4.2.
func (o *opening) bagsIn(data []byte, depth int) error {
	if depth == maxNested {
		return ber.ErrTooDeep
	}
	outer, _, err := ber.Read(data)
	if err != nil {
		return err
	}
	list, err := outer.Elements(o.bags)
	if err != nil {
		return err
	}
	o.bags -= len(list)
	for _, bag := range list {
		if err := o.bag(bag, depth); err != nil {
			return err
		}
	}
	return nil
}

func (o *opening) bag(bag ber.Element, depth int) error {
	const most = 3
	parts, err := bag.Elements(most)
	if err != nil || len(parts) < 2 || !parts[1].IsContext(0) {
		return orMalformed(err)
	}
	oid, err := parts[0].ObjectIdentifier()
	if err != nil {
		return err
	}
	inner, err := parts[1].Elements(1)
	if err != nil || len(inner) != 1 {
		return orMalformed(err)
	}
	switch value := inner[0]; oid.String() {
	case oidKeyBag:
		o.contents.Keys = append(o.contents.Keys, Key{friendlyName(parts[2:]), bytes.Clone(value.Raw)})
	case oidShroudedKeyBag:
		return o.shrouded(value, friendlyName(parts[2:]))
	case oidCertBag:
		return o.certificate(value)
	case oidSafeContentsBag:
		return o.bagsIn(value.Raw, depth+1)
	}
	return nil // revocation lists and secrets are nobody's business here
}

// shrouded reads EncryptedPrivateKeyInfo, RFC 5958, 3.
func (o *opening) shrouded(info ber.Element, name string) error {
	parts, err := info.Elements(2)
	if err != nil || len(parts) != 2 {
		return orMalformed(err)
	}
	ciphertext, err := parts[1].Octets()
	if err != nil {
		return err
	}
	plain, err := o.decrypt(parts[0], ciphertext)
	if err != nil {
		return err
	}
	o.contents.Keys = append(o.contents.Keys, Key{name, plain})
	if key, _, err := ber.Read(plain); err != nil || !key.Is(ber.Sequence) {
		return pbe.ErrPassword // the padding was right by chance
	}
	return nil
}

// certificate reads CertBag, RFC 7292, 4.2.3.
func (o *opening) certificate(bag ber.Element) error {
	parts, err := bag.Elements(2)
	if err != nil || len(parts) != 2 {
		return orMalformed(err)
	}
	if oid, err := parts[0].ObjectIdentifier(); err != nil || oid.String() != oidX509 {
		return err
	}
	value, err := parts[1].Elements(1)
	if err != nil || len(value) != 1 {
		return orMalformed(err)
	}
	der, err := value[0].Octets()
	if err != nil {
		return err
	}
	c, err := cert.Parse(der)
	if err != nil {
		return fmt.Errorf("a certificate in it cannot be read: %w", err)
	}
	o.contents.Certificates = append(o.contents.Certificates, c)
	return nil
}

// friendlyName is the name of a bag (RFC 2985, 5.5.1), empty for none.
func friendlyName(attributes []ber.Element) string {
	for _, set := range attributes {
		list, err := set.Elements(maxContents)
		if err != nil {
			return ""
		}
		for _, attribute := range list {
			pair, err := attribute.Elements(2)
			if err != nil || len(pair) != 2 {
				continue
			}
			values, err := pair[1].Elements(1)
			if oid, errOID := pair[0].ObjectIdentifier(); err != nil || errOID != nil || oid.String() != oidFriendlyName || len(values) != 1 {
				continue
			}
			name, _, _ := cert.Text(values[0])
			return name
		}
	}
	return ""
}
