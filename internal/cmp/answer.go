package cmp

import (
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
)

// PKIStatus is RFC 9810, 5.2.3.
type PKIStatus int

// What has become of a request.
const (
	Accepted        PKIStatus = 0
	GrantedWithMods PKIStatus = 1
	Rejection       PKIStatus = 2
	Waiting         PKIStatus = 3
)

// String is the name of those that grant a certificate.
func (s PKIStatus) String() string {
	switch s {
	case Accepted:
		return "accepted"
	case GrantedWithMods:
		return "grantedWithMods"
	}
	return fmt.Sprintf("status %d", int(s))
}

// Status is PKIStatusInfo (RFC 9810, 5.2.3). The words are those of somebody else.
type Status struct {
	Code PKIStatus
	Said []string
	// Failures are the names of the bits of PKIFailureInfo.
	Failures []string
}

// String is what was said, and the failures in brackets.
func (s Status) String() string {
	said := strings.Join(s.Said, " ")
	if len(s.Failures) > 0 {
		said = strings.TrimSpace(said + " [" + strings.Join(s.Failures, ", ") + "]")
	}
	return said
}

// failureName is the name of a bit of PKIFailureInfo (RFC 9810, 5.2.3).
func failureName(bit int) string {
	names := strings.Fields(`badAlg badMessageCheck badRequest badTime badCertId badDataFormat wrongAuthority incorrectData
		missingTimeStamp badPOP certRevoked certConfirmed wrongIntegrity badRecipientNonce timeNotAvailable unacceptedPolicy
		unacceptedExtension addInfoNotAvailable badSenderNonce badCertTemplate signerNotTrusted transactionIdInUse
		unsupportedVersion notAuthorized systemUnavail systemFailure duplicateCertReq`)
	if bit < len(names) {
		return names[bit]
	}
	return fmt.Sprintf("failure %d", bit)
}

func statusOf(e ber.Element) (s Status, err error) {
	const most = 3
	list, err := e.Elements(most)
	if err != nil || len(list) == 0 {
		return s, ErrDamaged
	}
	code := list[0].SmallInt()
	if code < 0 {
		return s, ErrDamaged
	}
	s.Code = PKIStatus(code)
	for _, part := range list[1:] {
		switch {
		case part.Is(ber.Sequence):
			s.Said, err = texts(part)
		case part.Is(ber.BitString):
			s.Failures, err = failures(part)
		default:
			err = ErrDamaged
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// texts reads PKIFreeText (RFC 9810, 5.1.1).
func texts(e ber.Element) (all []string, err error) {
	list, err := e.Elements(maxTexts)
	if err != nil {
		return nil, ErrDamaged
	}
	for _, text := range list {
		if value, ok, _ := cert.Text(text); ok {
			all = append(all, value)
		}
	}
	return all, nil
}

func failures(e ber.Element) (names []string, err error) {
	const most = 8 // bytes
	bits, err := e.Octets()
	if err != nil || len(bits) == 0 || len(bits) > most {
		return nil, ErrDamaged
	}
	for i, octet := range bits[1:] {
		for bit := range 8 {
			if octet&(0x80>>bit) != 0 {
				names = append(names, failureName(8*i+bit))
			}
		}
	}
	return names, nil
}

// Response is what has become of the one certificate that was asked for.
type Response struct {
	ID     int
	Status Status
	// Certificate is nil where there is none.
	Certificate *cert.Certificate
	// CAs are caPubs (RFC 9810, 5.3.4).
	CAs []*cert.Certificate
}

// Response reads CertRepMessage (RFC 9810, 5.3.4), of a message of kind CP or KUP.
func (m *Message) Response() (r Response, err error) {
	list, err := m.content.Elements(2)
	if err != nil || len(list) == 0 {
		return r, ErrDamaged
	}
	if list[0].IsContext(1) {
		cas, err := only(list[0])
		if err != nil {
			return r, err
		}
		if r.CAs, err = certificates(cas); err != nil {
			return r, err
		}
		list = list[1:]
	}
	if len(list) != 1 || !list[0].Is(ber.Sequence) {
		return r, ErrDamaged
	}
	one, err := only(list[0])
	if err != nil {
		return r, err
	}
	return r, r.read(one)
}

// read reads CertResponse.
func (r *Response) read(e ber.Element) error {
	const most = 4
	list, err := e.Elements(most)
	if err != nil || len(list) < 2 {
		return ErrDamaged
	}
	if r.ID, err = requestID(list[0]); err != nil {
		return err
	}
	if r.Status, err = statusOf(list[1]); err != nil {
		return err
	}
	if len(list) == 2 || !list[2].Is(ber.Sequence) {
		return nil // the rest is rspInfo
	}
	const parts = 3
	pair, err := list[2].Elements(parts)
	if err != nil || len(pair) == 0 {
		return ErrDamaged
	}
	if !pair[0].IsContext(0) {
		return fmt.Errorf("%w that can be used: its certificate is encrypted", ErrDamaged)
	}
	certificate, err := only(pair[0])
	if err != nil {
		return err
	}
	if r.Certificate, err = cert.Parse(certificate.Raw); err != nil {
		return fmt.Errorf("%w: its certificate cannot be read", ErrDamaged)
	}
	return nil
}

// requestID is a certReqId, -1 or a small number.
func requestID(e ber.Element) (int, error) {
	value, err := e.Int()
	if err != nil || !value.IsInt64() || value.Int64() < IDOfRequest || value.BitLen() > 31 {
		return 0, ErrDamaged
	}
	return int(value.Int64()), nil
}

// maxWait bounds what a server wants to be waited for.
const maxWait = 365 * 24 * time.Hour

// Poll reads PollRepContent (RFC 9810, 5.3.22): after is when to ask again.
func (m *Message) Poll() (id int, after time.Duration, err error) {
	const fields = 3
	one, err := only(m.content)
	if err != nil {
		return 0, 0, err
	}
	list, err := one.Elements(fields)
	if err != nil || len(list) < 2 {
		return 0, 0, ErrDamaged
	}
	if id, err = requestID(list[0]); err != nil {
		return 0, 0, err
	}
	seconds := list[1].SmallInt()
	if seconds < 0 {
		return 0, 0, ErrDamaged
	}
	return id, min(time.Duration(seconds)*time.Second, maxWait), nil
}

// Problem reads ErrorMsgContent (RFC 9810, 5.3.21).
func (m *Message) Problem() (s Status, err error) {
	const most = 3
	list, err := m.content.Elements(most)
	if err != nil || len(list) == 0 {
		return s, ErrDamaged
	}
	if s, err = statusOf(list[0]); err != nil {
		return s, err
	}
	for _, part := range list[1:] {
		if !part.Is(ber.Sequence) {
			continue // errorCode
		}
		details, err := texts(part)
		if err != nil {
			return s, err
		}
		s.Said = append(s.Said, details...)
	}
	return s, nil
}
