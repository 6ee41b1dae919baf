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

// ParseCertificate reads the content of a certificate object (part 1, table 10 and
// appendix A): 70 with the certificate, 71 with a bit that says that it is
// compressed. It is nil for an object without a certificate.
func ParseCertificate(object []byte) ([]byte, error) {
	const tagCertificate, tagInformation, compressed = 0x70, 0x71, 0x01
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
	const tagCertificate, tagInformation, tagCode = 0x70, 0x71, 0xFE
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
