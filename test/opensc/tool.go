package opensc

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// tool is pkcs15-tool on a MyEID card, as far as cardctl needs it for a card that
// it does not know itself.
func (c *myEID) tool(ctx context.Context, given options) ([]byte, error) {
	switch {
	case given.has("--list-info"):
		return c.info(ctx)
	case given.has("--dump"):
		return c.dump(ctx)
	case given.has("--change-pin"):
		return nil, c.replacePIN(ctx, iso7816.InsChangeReferenceData, "PIN", given["--auth-id"], given["--pin"], given["--new-pin"])
	case given.has("--unblock-pin"):
		return nil, c.replacePIN(ctx, iso7816.InsResetRetryCounter, "PUK", given["--auth-id"], given["--puk"], given["--new-pin"])
	case given.has("--read-public-key"):
		return c.readObject(ctx, myPublicKeys, given["--read-public-key"], "PUBLIC KEY", "Public key")
	case given.has("--read-certificate"):
		return c.readObject(ctx, myCertificates, given["--read-certificate"], "CERTIFICATE", "Certificate")
	}
	return nil, fmt.Errorf("pkcs15-tool %v is not built into the stand-in", given)
}

func (c *myEID) replacePIN(ctx context.Context, ins byte, what, authID, old, replacement string) error {
	reference, err := hex.DecodeString(authID)
	if err != nil || len(reference) != 1 {
		return failed("PIN not found")
	}
	if reference[0] == 0xFF {
		reference[0] = 3
	}
	err = c.send(ctx, ins, 0, reference[0], append(filled(old), filled(replacement)...))
	if left, wrong := iso7816.StatusOf(err).TriesLeft(); wrong {
		return failed(fmt.Sprintf("%s code incorrect; tries left: %d", what, left))
	}
	return explained("change the PIN", err)
}

// readObject prints what an entry of a directory stands for.
func (c *myEID) readObject(ctx context.Context, directory int, wanted, header, name string) ([]byte, error) {
	content, err := c.read(ctx, directory)
	if err != nil {
		return nil, err
	}
	for _, e := range entries(content) {
		if hex.EncodeToString(e.id) == strings.ToLower(wanted) {
			value, err := c.read(ctx, e.file)
			return pem.EncodeToMemory(&pem.Block{Type: header, Bytes: value}), err
		}
	}
	return nil, failed(name + " with ID '" + wanted + "' not found.")
}

// dump prints what cardctl reads of pkcs15-tool --dump, and something that it does
// not.
func (c *myEID) dump(ctx context.Context) ([]byte, error) {
	head, err := c.info(ctx)
	if err != nil {
		return nil, err
	}
	out := *bytes.NewBuffer(head)
	for _, list := range []struct {
		file  int
		print func(*bytes.Buffer, listed)
	}{{fileAODF, printPIN}, {myPrivateKeys, printPrivate}, {myPublicKeys, printPublic}, {myCertificates, printCertificate}} {
		content, err := c.read(ctx, list.file)
		if err != nil && iso7816.StatusOf(err) != iso7816.StatusFileNotFound {
			return nil, err
		}
		for _, object := range objects(content) {
			if l, ok := parseListed(object); ok {
				list.print(&out, l)
			}
		}
	}
	return out.Bytes(), nil
}

// info prints what pkcs15-tool --list-info says of the card.
func (c *myEID) info(ctx context.Context) ([]byte, error) {
	token, err := c.read(ctx, fileToken)
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return nil, failed("PKCS#15 binding failed: Unsupported card")
	}
	if err != nil {
		return nil, err
	}
	serial, _ := iso7816.FindTLV(token, 0x30, 0x04)
	maker, _ := iso7816.FindTLV(token, 0x30, 0x0C)
	label, _ := iso7816.FindTLV(token, 0x30, 0x80)
	return fmt.Appendf(nil, "PKCS#15 Card [%s]:\n\tVersion        : 0\n\tSerial number  : %x\n\tManufacturer ID: %s\n\n", label, serial, maker), nil
}

// listed is an object with the attributes of its class and its type.
type listed struct {
	kind                 string
	label                []byte
	common, class, typed []iso7816.TLV
}

func parseListed(object []byte) (listed, bool) {
	whole, _, err := iso7816.ParseTLV(object)
	if err != nil {
		return listed{}, false
	}
	l := listed{kind: "RSA"}
	if whole.Tag == 0xA0 {
		l.kind = "EC"
	}
	parts, err := iso7816.ParseTLVs(whole.Value)
	if err != nil || len(parts) < 3 {
		return listed{}, false
	}
	typed, ok := iso7816.FindTLV(parts[len(parts)-1].Value, 0x30)
	if !ok {
		return listed{}, false
	}
	for from, to := range map[*[]byte]*[]iso7816.TLV{&parts[0].Value: &l.common, &parts[1].Value: &l.class, &typed: &l.typed} {
		if *to, err = iso7816.ParseTLVs(*from); err != nil {
			return listed{}, false
		}
	}
	l.label = value(l.common, 0x0C, 0)
	return l, true
}

// value is that of the n-th attribute with a tag.
func value(attributes []iso7816.TLV, tag iso7816.Tag, n int) []byte {
	for _, a := range attributes {
		if a.Tag == tag {
			if n == 0 {
				return a.Value
			}
			n--
		}
	}
	return nil
}

func integer(b []byte) (n int) {
	for _, digit := range b {
		n = n<<8 | int(digit)
	}
	return n
}

// mask is a BIT STRING, its first bit lowest.
func mask(b []byte) (set int) {
	for i := 1; i < len(b); i++ {
		for bit := range 8 {
			if b[i]&(0x80>>bit) != 0 {
				set |= 1 << (8*(i-1) + bit)
			}
		}
	}
	return set
}

func printPIN(out *bytes.Buffer, l listed) {
	flags, so := mask(value(l.typed, 0x03, 0)), ""
	if flags&0x80 != 0 {
		so = ", soPin"
	}
	reference := integer(value(l.typed, 0x80, 0))
	fmt.Fprintf(out, "PIN [%s]\n\tObject Flags   : [0x03], private, modifiable\n\tID             : %x\n\tFlags          : [0x%02X], initialized, needs-padding%s\n"+
		"\tLength         : min_len:%d, max_len:%d, stored_len:%d\n\tReference      : %d (0x%02X)\n\n",
		l.label, value(l.class, 0x04, 0), flags, so, integer(value(l.typed, 0x02, 0)), integer(value(l.typed, 0x02, 2)), integer(value(l.typed, 0x02, 1)), reference, reference)
}

func printPrivate(out *bytes.Buffer, l listed) {
	length := "ModLength  "
	if l.kind == "EC" {
		length = "FieldLength"
	}
	reference := integer(value(l.class, 0x02, 0))
	path, _ := iso7816.FindTLV(tlv(0x30, l.typed[0].Value), 0x30, 0x04)
	fmt.Fprintf(out, "Private %s Key [%s]\n\tUsage          : [0x%02X], sign\n\t%s    : %d\n\tKey ref        : %d (0x%02X)\n\tNative         : yes\n\tPath           : %x\n\tAuth ID        : %x\n\tID             : %x\n\n",
		l.kind, l.label, mask(value(l.class, 0x03, 0)), length, integer(value(l.typed, 0x02, 0)), reference, reference, path, value(l.common, 0x04, 0), value(l.class, 0x04, 0))
}

func printPublic(out *bytes.Buffer, l listed) {
	fmt.Fprintf(out, "Public %s Key [%s]\n\tUsage          : [0x%02X], verify\n\tID             : %x\n\n", l.kind, l.label, mask(value(l.class, 0x03, 0)), value(l.class, 0x04, 0))
}

func printCertificate(out *bytes.Buffer, l listed) {
	fmt.Fprintf(out, "X.509 Certificate [%s]\n\tAuthority      : no\n\tID             : %x\n\n", l.label, value(l.class, 0x04, 0))
}
