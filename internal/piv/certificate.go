package piv

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// maxCertificate is what a compressed certificate may unfold to, in bytes.
const maxCertificate = 1 << 16

// Certificate reads the certificate of a slot, in DER, decompressed; nil where there
// is none.
func (c *Card) Certificate(ctx context.Context, slot Slot) ([]byte, error) {
	object, err := c.GetData(ctx, slot.Certificate())
	if err != nil || object == nil {
		return nil, err
	}
	return ParseCertificate(object)
}

// CertificateLength is how many bytes the certificate of a slot has as it is stored, maybe
// compressed; 0 where there is none. The beginning of the object tells it, so a certificate
// that does not fit one answer costs no further command.
func (c *Card) CertificateLength(ctx context.Context, slot Slot) (int, error) {
	answer, err := c.getData(ctx, slot.Certificate(), true)
	if err != nil || len(answer) == 0 {
		return 0, err
	}
	return certificateLength(answer)
}

// certificateLength reads the headers of 53 and of 70 in it, which comes first (part 1,
// table 10).
func certificateLength(answer []byte) (int, error) {
	length, content := 0, answer
	for _, want := range []iso7816.Tag{tagData, tagCertificate} {
		if len(content) == 0 && want == tagCertificate && length == 0 {
			return 0, nil
		}
		tag, rest, err := iso7816.ParseTag(content)
		if err == nil {
			length, content, err = iso7816.ParseLength(rest)
		}
		if err != nil {
			return 0, fmt.Errorf("%w: certificate object: %v", ErrMalformed, err)
		}
		if tag != want {
			return 0, fmt.Errorf("%w: certificate object has tag %X, not %X", ErrMalformed, uint32(tag), uint32(want))
		}
	}
	return length, nil
}

const tagCertificate iso7816.Tag = 0x70

// ParseCertificate reads the content of a certificate object (part 1, table 10 and
// appendix A): 70 with the certificate, 71 with a bit that says that it is
// compressed. It is nil for an object without a certificate.
func ParseCertificate(object []byte) ([]byte, error) {
	const tagInformation, compressed = 0x71, 0x01
	parts, err := iso7816.ParseTLVs(object)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate object: %v", ErrMalformed, err)
	}
	var value []byte
	var information byte
	for _, part := range parts {
		switch {
		case part.Tag == tagCertificate:
			value = part.Value
		case part.Tag == tagInformation && len(part.Value) > 0:
			information = part.Value[0]
		}
	}
	if len(value) == 0 || information&compressed == 0 {
		return value, nil
	}
	return decompress(value)
}

// decompress undoes gzip, as the standard says, or zlib, which some makers use.
func decompress(value []byte) ([]byte, error) {
	var reader io.Reader
	var err error
	if bytes.HasPrefix(value, []byte{0x1F, 0x8B}) {
		reader, err = gzip.NewReader(bytes.NewReader(value))
	} else {
		reader, err = zlib.NewReader(bytes.NewReader(value))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: compressed certificate: %v", ErrMalformed, err)
	}
	der, err := io.ReadAll(io.LimitReader(reader, maxCertificate+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: compressed certificate: %v", ErrMalformed, err)
	case len(der) > maxCertificate:
		return nil, fmt.Errorf("%w: a certificate of more than %d bytes", ErrMalformed, maxCertificate)
	}
	return der, nil
}

// CertificateObject is the content of a certificate object (part 1, table 10), plain or
// compressed with gzip.
func CertificateObject(der []byte, compressed bool) ([]byte, error) {
	const tagInformation, tagCode = 0x71, 0xFE
	information := byte(0)
	if compressed {
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(der); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		der, information = packed.Bytes(), 1
	}
	object := iso7816.AppendTLV(nil, tagCertificate, der)
	object = iso7816.AppendTLV(object, tagInformation, []byte{information})
	return iso7816.AppendTLV(object, tagCode), nil
}
