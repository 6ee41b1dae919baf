package pkcs15

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// layout is how a kind of card makes and removes files for certificates.
type layout struct {
	first int // the first file; the others follow, up to the next number of the upper byte

	// create makes a transparent EF in the application DF, in the place of one
	// that is there, and selects it. Only the PIN may change it.
	create func(ctx context.Context, file, size int, p PIN) error

	// remove removes a file of the application DF.
	remove func(ctx context.Context, file int) error

	// enter makes EF.CD with its first entry where there is none; nil where
	// OpenSC always makes one.
	enter func(ctx context.Context, entry []byte) error
}

// putCertificate writes a certificate: a file of its own, and an entry for it
// in EF.CD. The file is complete before the entry names it, and what it
// replaces is removed after that. Wherever the card is pulled out, the old
// certificate is there or the new one. The PIN has to be verified.
func (a *files) putCertificate(ctx context.Context, d *Directory, n NewCertificate) error {
	file, err := a.newCertificateFile(ctx, d, n)
	if err != nil {
		return err
	}
	replaced := 0
	if err = a.update(ctx, 0, n.DER); err == nil {
		replaced, err = a.enterCertificate(ctx, d, n, file)
	}
	if err != nil {
		if !errors.Is(err, iso7816.ErrCardRemoved) && a.unnamed(ctx, file) {
			_ = a.layout.remove(ctx, file) // the next certificate takes its place
		}
		return err
	}
	if err := a.touch(ctx, n.Now); err != nil || replaced == 0 {
		return err
	}
	return a.removeNamed(ctx, replaced)
}

// unnamed reports whether the card has no entry for a file. An error when one was written
// does not say so: the card may have it all the same.
func (a *files) unnamed(ctx context.Context, file int) bool {
	now, err := a.directory(ctx, nil, partCertificates)
	return err == nil && !slices.ContainsFunc(now.Certificates, func(c Certificate) bool { return c.ownFile(a.layout.first) == file })
}

// removeNamed removes the file that an entry named, which may have been an entry alone.
func (a *files) removeNamed(ctx context.Context, file int) error {
	err := a.layout.remove(ctx, file)
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return nil
	}
	return err
}

// newCertificateFile makes a file for a certificate of some length and selects
// it. A file that no entry names is left over from an interrupted run, and goes.
func (a *files) newCertificateFile(ctx context.Context, d *Directory, n NewCertificate) (file int, err error) {
	first := a.layout.first
	taken := map[int]bool{}
	for _, c := range d.Certificates {
		taken[c.ownFile(first)] = true
	}
	for file = first; taken[file]; file++ {
	}
	if file>>8 != first>>8 {
		return 0, noRoom("for another certificate")
	}
	return file, a.layout.create(ctx, file, len(n.DER), n.PIN)
}

// removeCertificate removes the entry of a certificate, and then its file.
func (a *files) removeCertificate(ctx context.Context, d *Directory, id []byte, now time.Time) error {
	removed, err := a.editCertificates(ctx, d, id, nil)
	if err != nil {
		return err
	}
	if err := a.touch(ctx, now); err != nil || removed == 0 {
		return err
	}
	return a.removeNamed(ctx, removed)
}

// enterCertificate enters a certificate into EF.CD, and returns the file of the
// one that was in its place, 0 where there was none.
func (a *files) enterCertificate(ctx context.Context, d *Directory, n NewCertificate, file int) (replaced int, err error) {
	if d.certificateFile() == nil {
		return 0, a.layout.enter(ctx, certificateEntry(n, file))
	}
	return a.editCertificates(ctx, d, n.ID, certificateEntry(n, file))
}

// editCertificates puts an entry into EF.CD, or nothing where it is nil, in the
// place of the one with the ID, and returns that one's file, 0 where there was
// none.
func (a *files) editCertificates(ctx context.Context, d *Directory, id, own []byte) (replaced int, err error) {
	raw, err := a.room(ctx, d.certificateFile())
	if err != nil {
		return 0, err
	}
	entries, err := iso7816.ParseTLVs(raw)
	if err != nil {
		return 0, err
	}
	var content []byte
	for _, entry := range entries {
		whole := iso7816.AppendTLV(nil, entry.Tag, entry.Value)
		there, err := parseCertificates(whole)
		if err != nil {
			return 0, err
		}
		if len(there) == 1 && bytes.Equal(there[0].ID, id) {
			replaced, whole, own = there[0].ownFile(a.layout.first), own, nil
		}
		content = append(content, whole...)
	}
	return replaced, a.rewrite(ctx, raw, append(content, own...))
}

// touch notes in EF.TokenInfo when the card was changed (ISO/IEC 7816-15, 8.10,
// lastUpdate): programs that keep copies of its files look there.
func (a *files) touch(ctx context.Context, now time.Time) error {
	if !a.shortIDs {
		return nil // OpenSC's profile has no such time
	}
	lastUpdate := []byte{0xA5, 0x11, 0x18, 0x0F} // GeneralizedTime, 15 bytes
	raw, err := a.readShort(ctx, path(fileApplication, fileTokenInfo), iso7816.MaxShortNe)
	if iso7816.StatusOf(err) != 0 {
		return nil
	}
	at := bytes.Index(raw, lastUpdate)
	if err != nil || at < 0 {
		return err
	}
	where := short(fileTokenInfo) | at + len(lastUpdate)
	err = a.send(ctx, insUpdateBinary, byte(where>>8), byte(where), []byte(now.UTC().Format("20060102150405Z")))
	if iso7816.StatusOf(err) != 0 {
		return nil
	}
	return err
}

// room selects a directory file and reads it, with what is empty of it.
func (a *files) room(ctx context.Context, path []byte) ([]byte, error) {
	if a.shortIDs {
		return a.file(ctx, path)
	}
	raw, size, err := a.leading(ctx, path)
	return append(raw, make([]byte, max(0, size-len(raw)))...), err
}

// rewrite brings the selected file, which has the content raw, to another one:
// zeros follow it. What is the same is not written.
func (a *files) rewrite(ctx context.Context, raw, content []byte) error {
	if len(content) > len(raw) {
		return noRoom("in its directory for another entry")
	}
	content = append(content, make([]byte, len(raw)-len(content))...)
	from, to := 0, len(raw)
	for from < to && raw[from] == content[from] {
		from++
	}
	for from < to && raw[to-1] == content[to-1] {
		to--
	}
	return a.update(ctx, from, content[from:to])
}

// update is UPDATE BINARY (ISO/IEC 7816-4, 11.3.5) of the selected file. The
// beginning is written last: an entry is not there before all of it is.
func (a *files) update(ctx context.Context, offset int, content []byte) error {
	const most = 255 // bytes in a short command
	for start := (len(content) - 1) / most * most; start >= 0 && len(content) > 0; start -= most {
		at := offset + start
		part := content[start:min(start+most, len(content))]
		if err := a.send(ctx, insUpdateBinary, byte(at>>8), byte(at), part); err != nil {
			return err
		}
	}
	return nil
}

// certificateEntry is an entry of EF.CD as OpenSC writes it (ISO/IEC 7816-15,
// 8.6): label, modifiable, ID, whether it is a CA's, and the file.
func certificateEntry(n NewCertificate, file int) []byte {
	var common []byte
	if n.Label != "" {
		common = iso7816.AppendTLV(common, tagUTF8, []byte(n.Label))
	}
	common = iso7816.AppendTLV(common, tagBitString, []byte{6, 0x40})
	class := iso7816.AppendTLV(nil, tagOctets, n.ID)
	if n.Authority {
		class = iso7816.AppendTLV(class, tagBoolean, []byte{0xFF})
	}
	entry := iso7816.AppendTLV(nil, tagSequence, common)
	entry = iso7816.AppendTLV(entry, tagSequence, class)
	entry = iso7816.AppendTLV(entry, tagType, iso7816.AppendTLV(nil, tagSequence, pathValue(file)))
	return iso7816.AppendTLV(nil, tagSequence, entry)
}

// pathValue is Path of ISO/IEC 7816-15, 8.2.5, to a file of the application DF.
func pathValue(file int) []byte {
	return iso7816.AppendTLV(nil, tagSequence, iso7816.AppendTLV(nil, tagOctets, path(0x3F00, fileApplication, file)))
}

// ownFile is the file of the application DF that a certificate has for itself,
// 0 where it is elsewhere or shares one. first is the first of such files.
func (c *Certificate) ownFile(first int) int {
	own := bytes.TrimPrefix(c.path, path(0x3F00, fileApplication))
	if c.value != nil || c.length != 0 || len(own) != 2 || len(c.path) == len(own) || int(own[0]) != first>>8 {
		return 0
	}
	return int(own[0])<<8 | int(own[1])
}

// certificateFile is the path of EF.CD, nil where there is none.
func (d *Directory) certificateFile() []byte {
	for _, f := range d.files {
		if f.kind == dfCertificates {
			return f.path
		}
	}
	return nil
}

// writes reports whether this program can write a certificate: there is one EF.CD
// that it belongs into, or that can be made.
func (a *files) writes(d *Directory, id []byte) bool {
	number := 0
	for _, f := range d.files {
		if f.kind == dfCertificates {
			number++
		}
	}
	there := d.Certificate(id)
	return (number == 1 || number == 0 && a.layout.enter != nil) && (there == nil || !there.elsewhere)
}

func noRoom(what string) error {
	return problem.New(problem.Failed, "the card is full").Because("There is no room left %s. Deleting a certificate or a key makes room.", what).
		Advise(advice.Do(advice.ShowCard))
}
