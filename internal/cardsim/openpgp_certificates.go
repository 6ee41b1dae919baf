package cardsim

import (
	"bytes"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// readCertificate is DO 7F21 at the current occurrence: AUT, DEC, SIG.
func (a *openpgp) readCertificate() ([]byte, iso7816.Status) {
	value := a.state.Certificates[a.certificate]
	if a.profile.certificateTag {
		return iso7816.AppendTLV(nil, tagCertificate, value), iso7816.StatusOK
	}
	if len(value) == 0 {
		return nil, a.profile.absentCertificate
	}
	return value, iso7816.StatusOK
}

// selectData is SELECT DATA, section 7.2.5: the occurrence in P1, DO 7F21 in a
// tag list inside of a general reference template.
func (a *openpgp) selectData(c iso7816.Command) iso7816.Status {
	if c.P2 != 0x04 {
		return iso7816.StatusWrongOffset
	}
	const tagReference, tagList = 0x60, 0x5C
	path := c.Data
	if a.profile.yubikey.lengthBeforePath() {
		if len(path) == 0 || int(path[0]) != len(path)-1 {
			return iso7816.StatusWrongData
		}
		path = path[1:]
	}
	list, ok := iso7816.FindTLV(path, tagReference, tagList)
	if !ok {
		return iso7816.StatusWrongData
	}
	tag, rest, err := iso7816.ParseTag(list)
	if err != nil || len(rest) != 0 {
		return iso7816.StatusWrongData
	}
	if tag != tagCertificate || int(c.P1) >= a.profile.certificates {
		return iso7816.StatusReferenceNotFound
	}
	a.certificate = int(c.P1)
	return iso7816.StatusOK
}

// getNextData is GET NEXT DATA, section 7.2.7: the occurrence after the
// current one becomes the current one.
func (a *openpgp) getNextData(c iso7816.Command) ([]byte, iso7816.Status) {
	tag := iso7816.Tag(c.P1)<<8 | iso7816.Tag(c.P2)
	switch {
	case len(c.Data) != 0:
		return nil, iso7816.StatusWrongLength
	case tag != tagCertificate || a.certificate+1 >= a.profile.certificates:
		return nil, iso7816.StatusReferenceNotFound
	}
	a.certificate++
	return a.readCertificate()
}

// putCertificate is PUT DATA of DO 7F21 at the current occurrence; empty data
// removes the certificate.
func (a *openpgp) putCertificate(data []byte) iso7816.Status {
	switch {
	case len(data) > a.profile.certificateLimit:
		return iso7816.StatusWrongLength
	case len(data) > a.profile.certificateRoom:
		return iso7816.StatusMemoryFailure
	}
	a.state.Certificates[a.certificate] = bytes.Clone(data)
	return a.save()
}
