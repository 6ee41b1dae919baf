package pkcs15

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// errNoStructure is a card without a PKCS#15 structure.
var errNoStructure = errors.New("no PKCS#15 structure")

// files is the file system of a card that is read directly, with a PKCS#15
// structure where OpenSC's profiles put it.
type files struct {
	ch *iso7816.Channel
	changes

	// enter selects the application.
	enter func(ctx context.Context) error

	// layout is how certificates are written.
	layout layout

	// shortIDs says that READ BINARY takes short EF identifiers.
	shortIDs bool

	// pins are those that every card of the kind has, and no others; nil
	// where the directory tells.
	pins []PIN

	// fresh says that the channel is new, so that nothing is known of what is
	// selected. OpenSC leaves the application DF selected, which is tried
	// first.
	fresh bool

	// inside says that the application DF is selected, and nothing below it.
	inside bool
}

// Files that OpenSC makes.
const (
	fileApplication = 0x5015
	fileDIR         = 0x2F00
	fileODF         = 0x5031
	fileTokenInfo   = 0x5032
	fileAODF        = 0x4401
)

const (
	insGenerateKeyPair = 0x46
	insCreateFile      = 0xE0
	insDeleteFile      = 0xE4
	insReadBinary      = 0xB0
	insUpdateBinary    = 0xD6
)

// use goes on with another channel.
func (a *files) use(ch *iso7816.Channel) {
	if ch != a.ch {
		a.ch, a.fresh, a.inside = ch, true, false
	}
}

// ready selects the applet where it is not known to be.
func (a *files) ready(ctx context.Context) error {
	if !a.fresh {
		return nil
	}
	return a.enter(ctx)
}

// directory reads the parts that are not in d yet. A nil d is a new one.
func (a *files) directory(ctx context.Context, d *Directory, wanted part) (*Directory, error) {
	if d == nil {
		files, err := a.odf(ctx)
		if err != nil {
			return nil, err
		}
		d = &Directory{files: files, PINs: a.pins}
		if err := a.readPINs(ctx, d); err != nil {
			return nil, err
		}
	}
	wanted &^= d.has
	if wanted == 0 {
		return d, nil
	}
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	for _, f := range d.files {
		var err error
		switch {
		case f.kind == dfPrivateKeys && wanted&partKeys != 0:
			err = readInto(ctx, a, f.path, parsePrivateKeys, &d.Keys)
		case f.isPublicKeys() && wanted&partPublicKeys != 0:
			err = readInto(ctx, a, f.path, parsePublicKeys, &d.PublicKeys)
		case f.isCertificates() && wanted&partCertificates != 0:
			known := len(d.Certificates)
			err = readInto(ctx, a, f.path, parseCertificates, &d.Certificates)
			for i := range d.Certificates[known:] {
				d.Certificates[known+i].elsewhere = f.kind != dfCertificates
			}
		}
		if err != nil {
			return nil, err
		}
	}
	d.has |= wanted
	return d, nil
}

// odf reads EF.ODF, with the application DF selected afterwards.
func (a *files) odf(ctx context.Context) ([]directoryFile, error) {
	if !a.shortIDs {
		if err := a.ready(ctx); err != nil {
			return nil, err
		}
		raw, _, err := a.leading(ctx, path(fileApplication, fileODF))
		if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
			return nil, errNoStructure
		}
		if err != nil {
			return nil, err
		}
		return parseODF(raw)
	}
	if a.fresh {
		raw, err := a.readShort(ctx, path(fileApplication, fileODF), iso7816.MaxShortNe)
		if iso7816.StatusOf(err) == 0 && err != nil {
			return nil, err
		}
		if files, parseErr := parseODF(raw); err == nil && parseErr == nil && len(files) > 0 {
			a.fresh, a.inside = false, true
			return files, nil
		}
		if err := a.enter(ctx); err != nil {
			return nil, err
		}
	}
	err := a.selectApplication(ctx)
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return nil, errNoStructure
	}
	if err != nil {
		return nil, err
	}
	raw, err := a.readShort(ctx, path(fileApplication, fileODF), iso7816.MaxShortNe)
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return nil, errNoStructure
	}
	if err != nil {
		return nil, err
	}
	return parseODF(raw)
}

// readPINs reads EF.AOD, where the kind of card does not say what PINs it has.
func (a *files) readPINs(ctx context.Context, d *Directory) error {
	if a.pins != nil {
		return nil
	}
	for _, f := range d.files {
		if f.kind == dfAuthentication {
			if err := readInto(ctx, a, f.path, parsePINs, &d.PINs); err != nil {
				return err
			}
		}
	}
	distinguish(d.PINs)
	return nil
}

// tokenInfo reads label and serial. The structure of an interrupted init has
// none.
func (a *files) tokenInfo(ctx context.Context, d *Directory) error {
	d.named = true
	if a.shortIDs {
		raw, err := a.readShort(ctx, path(fileApplication, fileTokenInfo), iso7816.MaxShortNe)
		if err == nil && parseTokenInfo(raw, d) == nil {
			return nil
		}
	}
	raw, err := a.file(ctx, path(fileApplication, fileTokenInfo))
	if err == nil {
		err = parseTokenInfo(raw, d)
	}
	if iso7816.StatusOf(err) != 0 || errors.Is(err, errMalformed) {
		d.Incomplete = true
		return nil
	}
	return err
}

// readInto reads a directory file. Where its short identifier finds another
// file, or one that says nothing, it is selected by its path: identifiers of
// files are unique, short ones are not.
func readInto[T any](ctx context.Context, a *files, path []byte, parse func([]byte) ([]T, error), list *[]T) error {
	if n := len(path); a.shortIDs && n >= 2 && path[n-1]&0x1F != 0 {
		raw, err := a.readShort(ctx, path, iso7816.MaxExtendedNe)
		if err != nil && iso7816.StatusOf(err) == 0 {
			return err
		}
		if found, parseErr := parse(raw); err == nil && parseErr == nil && len(found) > 0 {
			*list = append(*list, found...)
			return nil
		}
	}
	var raw []byte
	var err error
	if a.shortIDs {
		raw, err = a.file(ctx, path)
	} else {
		raw, _, err = a.leading(ctx, path)
	}
	if err != nil {
		return err
	}
	found, err := parse(raw)
	*list = append(*list, found...)
	return err
}

// object reads what an object stands for.
func (a *files) object(ctx context.Context, at location) ([]byte, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	raw, err := a.file(ctx, at.path)
	if err != nil || at.length == 0 {
		return raw, err
	}
	if at.index+at.length > len(raw) {
		return nil, fmt.Errorf("%w: an object beyond its file", errMalformed)
	}
	return raw[at.index:][:at.length], nil
}

// file selects a file by its path and reads all of it.
func (a *files) file(ctx context.Context, path []byte) ([]byte, error) {
	if !a.shortIDs {
		size, err := a.selectSized(ctx, path)
		if err != nil {
			return nil, err
		}
		return a.readSized(ctx, size, func([]byte) bool { return false })
	}
	if err := a.selectPath(ctx, path); err != nil {
		return nil, err
	}
	return a.read(ctx, 0, iso7816.MaxExtendedNe, func(context.Context) error { return nil })
}

// leading selects a directory file by its path and reads it as far as there is
// something in it. size is that of the file.
func (a *files) leading(ctx context.Context, path []byte) (content []byte, size int, err error) {
	if size, err = a.selectSized(ctx, path); err != nil {
		return nil, 0, err
	}
	content, err = a.readSized(ctx, size, ended)
	return content, size, err
}

// selectSized is SELECT by path from the MF; the answer says how long the file
// is, in bytes.
func (a *files) selectSized(ctx context.Context, path []byte) (int, error) {
	a.inside = false
	const tagFCI, tagSize, tagSizeInAll = 0x6F, 0x80, 0x81
	path = bytes.TrimPrefix(path, id(0x3F00))
	fci, err := a.ch.Send(ctx, iso7816.Command{INS: iso7816.InsSelect, P1: 0x08, Data: path, Ne: iso7816.MaxShortNe})
	if err != nil {
		return 0, err
	}
	for _, tag := range []iso7816.Tag{tagSize, tagSizeInAll} {
		if size, ok := iso7816.FindTLV(fci, tagFCI, tag); ok && number(size) >= 0 {
			return number(size), nil
		}
	}
	return unknownSize, nil
}

// unknownSize is the size of a file that the card does not tell: more than any has.
const unknownSize = 1 << 15

// readSized is READ BINARY of the selected file, whose length is known, until it
// ends or what was read is enough. No card has to say where a file ends.
func (a *files) readSized(ctx context.Context, size int, enough func([]byte) bool) ([]byte, error) {
	var content []byte
	for len(content) < size && !enough(content) {
		at := len(content)
		part, err := a.ch.Send(ctx, iso7816.Command{
			INS: insReadBinary, P1: byte(at >> 8), P2: byte(at), Ne: min(size-at, iso7816.MaxShortNe),
		})
		content = append(content, part...)
		status := iso7816.StatusOf(err)
		if size == unknownSize && (status == statusEndOfFile || len(content) > 0 && status == iso7816.StatusWrongOffset) {
			return content, nil
		}
		if err != nil || len(part) == 0 || size == unknownSize && len(part) < iso7816.MaxShortNe {
			return content, err
		}
	}
	return content, nil
}

// selectApplication selects the application DF, unless that is selected.
func (a *files) selectApplication(ctx context.Context) error {
	if a.inside {
		return nil
	}
	err := a.selectPath(ctx, id(fileApplication))
	a.inside = err == nil
	return err
}

// selectPath is SELECT by path from the MF (ISO/IEC 7816-4, 11.2.2).
func (a *files) selectPath(ctx context.Context, path []byte) error {
	a.inside = false
	path = bytes.TrimPrefix(path, id(0x3F00))
	_, err := a.ch.Send(ctx, iso7816.Command{INS: iso7816.InsSelect, P1: 0x08, P2: 0x0C, Data: path})
	return err
}

// readShort is READ BINARY by the short EF identifier in the last byte of a path.
// There are cards on which that does not make the file the current one, so it is
// selected before reading goes on, with the application DF current as before.
func (a *files) readShort(ctx context.Context, path []byte, atOnce int) ([]byte, error) {
	inside := a.inside
	return a.read(ctx, 0x8000|int(path[len(path)-1]&0x1F)<<8, atOnce, func(ctx context.Context) error {
		err := a.selectPath(ctx, path)
		a.inside = inside && err == nil
		return err
	})
}

// read is READ BINARY (ISO/IEC 7816-4, 11.3.3) from where on means: P1 and P2.
// It goes on until the file ends, after current made it the current one.
func (a *files) read(ctx context.Context, where, atOnce int, current func(context.Context) error) ([]byte, error) {
	const limit = 1 << 15 // what an offset in P1 and P2 reaches
	var content []byte
	for len(content) < limit {
		ask := atOnce
		if !a.ch.Capabilities().ExtendedLength {
			ask = iso7816.MaxShortNe
		}
		part, err := a.ch.Send(ctx, iso7816.Command{INS: insReadBinary, P1: byte(where >> 8), P2: byte(where), Ne: ask})
		if len(content) > 0 && iso7816.StatusOf(err) == iso7816.StatusWrongOffset {
			return content, nil
		}
		if err == nil && len(part) == 0 && ask > iso7816.MaxShortNe {
			a.ch.Doubt() // cards are known to take the greatest Le for none
			continue
		}
		content = append(content, part...)
		if status := iso7816.StatusOf(err); err != nil && status != statusEndOfFile {
			return nil, err
		}
		if len(part) < iso7816.MaxShortNe || err != nil || len(part) > iso7816.MaxShortNe {
			return content, nil
		}
		if atOnce == iso7816.MaxShortNe && ended(content) {
			return content, nil
		}
		if where&0x8000 != 0 {
			if err := current(ctx); err != nil {
				return nil, err
			}
		}
		where = len(content)
	}
	return content, nil
}

// ended reports whether something that is no data object follows the last one:
// the rest of a directory file is empty.
func ended(content []byte) bool {
	for len(content) > 0 && content[0] != 0x00 && content[0] != 0xFF {
		var err error
		if _, content, err = iso7816.ParseTLV(content); err != nil {
			return false
		}
	}
	return len(content) > 0
}

const statusEndOfFile iso7816.Status = 0x6282

func id(file int) []byte { return []byte{byte(file >> 8), byte(file)} }

func path(files ...int) []byte {
	var p []byte
	for _, f := range files {
		p = append(p, id(f)...)
	}
	return p
}

// short is P1 and P2 of READ BINARY for a short EF identifier.
func short(file int) int { return 0x8000 | file&0x1F<<8 }

// send sends a command whose data may be a secret.
func (a *files) send(ctx context.Context, ins, p1, p2 byte, data []byte) error {
	_, err := a.ch.Send(ctx, iso7816.Command{INS: ins, P1: p1, P2: p2, Data: data})
	a.answered(ins, err)
	return err
}
