package pkcs15

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// What OpenSC's profile for an applet has for certificates.
const (
	fileCD           = 0x4404
	sizeCD           = 0x200 // bytes
	firstCertificate = 0x3400
)

// Access conditions of a file: the access mode byte that names all seven, and
// they. The PIN is wanted, nobody may, everybody may.
var (
	pinOnly    = []byte{0xFF, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x00}
	pinDeletes = []byte{0xFF, 0x90, 0xFF, 0xFF, 0xFF, 0xFF, 0x90, 0x00}
)

func (a *applet) certificates() layout {
	return layout{
		first: firstCertificate,
		create: func(ctx context.Context, file, size int, _ PIN) error {
			return a.createFile(ctx, file, size, pinDeletes)
		},
		remove: a.deleteFile,
		enter: func(ctx context.Context, entry []byte) error {
			if err := a.createFile(ctx, fileCD, sizeCD, pinOnly); err != nil {
				return err
			}
			if err := a.update(ctx, 0, entry); err != nil {
				return err
			}
			return a.enterDirectory(ctx, fileCD)
		},
	}
}

// deleteFile removes a file of the application DF.
func (a *applet) deleteFile(ctx context.Context, file int) error {
	if err := a.selectApplication(ctx); err != nil {
		return err
	}
	return a.send(ctx, insDeleteFile, 0, 0, id(file))
}

// enterDirectory enters EF.CD into EF.ODF (ISO/IEC 7816-15, 8.3).
func (a *applet) enterDirectory(ctx context.Context, file int) error {
	raw, err := a.file(ctx, path(fileApplication, fileODF))
	if err != nil {
		return err
	}
	entries, err := iso7816.ParseTLVs(raw)
	if err != nil {
		return err
	}
	var content []byte
	for _, entry := range entries {
		content = iso7816.AppendTLV(content, entry.Tag, entry.Value)
	}
	return a.rewrite(ctx, raw, iso7816.AppendTLV(content, dfCertificates, pathValue(file)))
}

// createFile makes a transparent EF in the application DF (ISO/IEC 7816-9), in
// the place of one that is there, and selects it.
func (a *applet) createFile(ctx context.Context, file, size int, access []byte) error {
	err := a.selectPath(ctx, path(fileApplication, file))
	there := err == nil
	if err != nil && iso7816.StatusOf(err) != iso7816.StatusFileNotFound {
		return err
	}
	if there {
		err = a.deleteFile(ctx, file)
	} else {
		err = a.selectPath(ctx, id(fileApplication))
	}
	if err != nil {
		return err
	}
	const tagFCI, tagSize, tagDescriptor, tagID, tagAccess = 0x6F, 0x81, 0x82, 0x83, 0x86
	control := iso7816.AppendTLV(nil, tagSize, id(size))
	control = iso7816.AppendTLV(control, tagDescriptor, []byte{1}) // transparent
	control = iso7816.AppendTLV(control, tagID, id(file))
	control = iso7816.AppendTLV(control, tagAccess, access)
	if err := a.send(ctx, insCreateFile, 0, 0, iso7816.AppendTLV(nil, tagFCI, control)); err != nil {
		return err
	}
	return a.selectPath(ctx, path(fileApplication, file))
}
