package piv

import (
	"fmt"
	"io"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Tags of a CHUID (part 1, table 9).
const (
	tagFASCN      = 0x30
	tagGUID       = 0x34
	tagExpiration = 0x35
	tagSignature  = 0x3E
	tagErrorCode  = 0xFE
)

// notFederal is the FASC-N of a card whose issuer is no federal agency: 9999 as agency
// and system, 999999 as credential (part 1, 3.1.2), in the code of TIG SCEPACS.
const notFederal = "\xD4\xE7\x39\xDA\x73\x9C\xED\x39\xCE\x73\x9D\x83\x68\x58\x21\x08\x42\x10\x84\x21\xC8\x42\x10\xC3\xEB"

const chuidDate = "20060102"

// NewCHUID is a card holder unique identifier with a GUID from random, without a
// signature.
func NewCHUID(random io.Reader, expires time.Time) ([]byte, error) {
	guid := make([]byte, 16)
	if _, err := io.ReadFull(random, guid); err != nil {
		return nil, err
	}
	b := iso7816.AppendTLV(nil, tagFASCN, []byte(notFederal))
	b = iso7816.AppendTLV(b, tagGUID, guid)
	b = iso7816.AppendTLV(b, tagExpiration, []byte(expires.Format(chuidDate)))
	return iso7816.AppendTLV(iso7816.AppendTLV(b, tagSignature), tagErrorCode), nil
}

// RenewedCHUID is a CHUID with another GUID, from random, and everything else as it was.
// It is ErrMalformed for one that is signed, or that has no GUID.
func RenewedCHUID(random io.Reader, chuid []byte) ([]byte, error) {
	parts, err := iso7816.ParseTLVs(chuid)
	if err != nil {
		return nil, fmt.Errorf("%w: CHUID: %v", ErrMalformed, err)
	}
	var b []byte
	var renewed bool
	for _, part := range parts {
		value := part.Value
		if part.Tag == tagGUID && len(value) == 16 {
			value, renewed = make([]byte, len(value)), true
			if _, err := io.ReadFull(random, value); err != nil {
				return nil, err
			}
		}
		b = iso7816.AppendTLV(b, part.Tag, value)
	}
	if !renewed || Signed(chuid) {
		return nil, fmt.Errorf("%w: a CHUID that is signed, or has no GUID", ErrMalformed)
	}
	return b, nil
}

// Signed reports whether an issuer signed the CHUID.
func Signed(chuid []byte) bool {
	signature, ok := iso7816.FindTLV(chuid, tagSignature)
	return ok && len(signature) > 0
}

// Expires is the date in a CHUID, as YYYYMMDD; false where it has none.
func Expires(chuid []byte) (date time.Time, ok bool) {
	value, found := iso7816.FindTLV(chuid, tagExpiration)
	date, err := time.Parse(chuidDate, string(value))
	return date, found && err == nil
}

// NewCCC is a card capability container (part 1, table 8) with a random card
// identifier: it says that data is as PIV has it, and gives nothing else.
func NewCCC(random io.Reader) ([]byte, error) {
	identifier := append([]byte{0xA0, 0x00, 0x00, 0x01, 0x16, 0xFF, 0x02}, make([]byte, 14)...)
	if _, err := io.ReadFull(random, identifier[7:]); err != nil {
		return nil, err
	}
	b := iso7816.AppendTLV(nil, 0xF0, identifier)
	b = iso7816.AppendTLV(b, 0xF1, []byte{0x21})
	b = iso7816.AppendTLV(b, 0xF2, []byte{0x21})
	b = iso7816.AppendTLV(b, 0xF3)
	b = iso7816.AppendTLV(b, 0xF4, []byte{0x00})
	b = iso7816.AppendTLV(b, 0xF5, []byte{0x10})
	for _, tag := range []iso7816.Tag{0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, tagErrorCode} {
		b = iso7816.AppendTLV(b, tag)
	}
	return b, nil
}
