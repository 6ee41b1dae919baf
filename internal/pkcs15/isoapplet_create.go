package pkcs15

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// status: without a PIN there are no keys, and whatever files there are, is the
// remainder of an earlier run.
func (d isoApplet) status(ctx context.Context) (Status, error) {
	left, err := d.card.Tries(ctx, appletUserPIN())
	if err != nil || left < 0 {
		return Status{TriesLeft: left}, err
	}
	s, err := d.card.structure(ctx)
	s.PINSet, s.TriesLeft = true, left
	return s, err
}

func (d isoApplet) create(ctx context.Context, s Status, f First, progress func(state string)) error {
	if s.PINSet {
		return d.renew(ctx, f, progress)
	}
	progress("The card may already have a PUK or a PIN." + toFinish)
	err := d.createStructure(ctx, f, f.PUK)
	if err == nil || failure(err) == nil {
		return d.card.explain(err, "creating the PKCS#15 structure")
	}
	if errors.Is(err, iso7816.ErrCardRemoved) {
		return err
	}
	now, err := d.card.Tries(ctx, appletUserPIN())
	if err != nil {
		return err
	}
	if now >= 0 {
		return problem.New(problem.Failed, "creating the PKCS#15 structure").
			Because("pkcs15-init failed after it had set the PIN.").Advise(advice.Repeat())
	}
	// An earlier run was interrupted: the applet may have its PUK, which
	// cannot be set again, and files without access conditions.
	progress("The card has no PIN yet." + toFinish)
	if err := d.clear(ctx); err != nil {
		return d.card.explain(err, "deleting the old structure")
	}
	hasPUK := false
	if f.PUK != nil {
		err = d.on(ctx, func() error {
			return d.native.send(ctx, iso7816.InsChangeReferenceData, 1, appletPUK, f.PUK.Reveal())
		})
		hasPUK = iso7816.StatusOf(err) == iso7816.StatusWrongP1P2
		if err != nil && !hasPUK {
			return d.card.explain(err, "setting the PUK")
		}
	}
	err = d.card.judge(ctx, d.createStructure(ctx, f, nil), appletUserPIN(), "creating the PKCS#15 structure")
	if err != nil || !hasPUK {
		return err
	}
	// It may be another one than that which is wanted. Nobody could try it before there was a
	// PIN, so it has all its tries.
	progress("The card has the PIN, and the PUK of an earlier run, which was interrupted.")
	return d.card.UnblockPIN(ctx, appletUserPIN(), d.facts().puk, f.PUK, f.PIN)
}

// createStructure makes the structure of an applet that has no PIN.
func (d isoApplet) createStructure(ctx context.Context, f First, puk *secret.Bytes) error {
	if puk == nil {
		puk = secret.New(nil) // else pkcs15-init asks for it
	}
	_, err := d.card.tool(ctx, call{
		program: "pkcs15-init", args: []string{"--create-pkcs15", "--label", f.Label, "--serial", f.Serial},
		secrets: []handover{{"--so-pin", f.PIN}, {"--so-puk", puk}}, serial: f.Serial,
	})
	return err
}

// renew gives an applet that is in use a new structure. pkcs15-init cannot
// erase it; its files go without any PIN, and what has to be there for the PIN
// is written here. The PUK sets the new PIN; without it the PIN has to be the
// card's own.
func (d isoApplet) renew(ctx context.Context, f First, progress func(state string)) error {
	var err error
	if f.PUK != nil {
		err = d.card.UnblockPIN(ctx, appletUserPIN(), d.facts().puk, f.PUK, f.PIN)
	} else {
		err = d.in(ctx, func() error { return d.sendPIN(ctx, appletUserPIN(), f.PIN) })
	}
	if err != nil {
		return err
	}
	progress("The PIN is the new one, but the card is only partly erased." + toFinish)
	if err := d.clear(ctx); err != nil {
		return d.card.explain(err, "deleting the old structure")
	}
	_, err = d.card.tool(ctx, call{
		program: "pkcs15-init", args: []string{"--create-pkcs15", "--no-so-pin", "--label", f.Label, "--serial", f.Serial},
		serial: f.Serial,
	})
	if err != nil {
		return d.card.judge(ctx, err, appletUserPIN(), "creating the PKCS#15 structure")
	}
	err = d.on(ctx, func() error { return d.native.writePIN(ctx, f.PIN) })
	return d.card.explain(err, "writing the directory of PINs")
}

// clear removes the structure of an applet.
func (d isoApplet) clear(ctx context.Context) error {
	return d.on(ctx, func() error {
		if err := d.native.selectSelf(ctx); err != nil {
			return err
		}
		d.native.token, d.card.identity = nil, nil // it gets another one
		for _, file := range []int{fileApplication, fileDIR} {
			err := d.native.send(ctx, insDeleteFile, 0, 0, id(file))
			if err != nil && iso7816.StatusOf(err) != iso7816.StatusFileNotFound {
				return err
			}
		}
		return nil
	})
}

// writePIN writes the directory of PINs as OpenSC's profile has it: EF.AOD with
// one entry, that only the PIN may change.
func (a *applet) writePIN(ctx context.Context, pin *secret.Bytes) error {
	control := []byte{
		0x6F, 0x15, 0x81, 0x02, 0x01, 0x00, 0x82, 0x01, 0x01, 0x83, 0x02, fileAODF >> 8, fileAODF & 0xFF,
		0x86, 0x08, 0xFF, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x00,
	}
	steps := []func() error{
		func() error { return a.selectSelf(ctx) },
		func() error { return a.verify(ctx, appletUserPIN(), pin) },
		func() error {
			err := a.send(ctx, insDeleteFile, 0, 0, id(fileAODF))
			if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
				return nil
			}
			return err
		},
		func() error { return a.selectPath(ctx, id(fileApplication)) },
		func() error { return a.send(ctx, insCreateFile, 0, 0, control) },
		func() error { return a.selectPath(ctx, path(fileApplication, fileAODF)) },
		func() error { return a.send(ctx, insUpdateBinary, 0, 0, pinEntry()) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// pinEntry is EF.AOD of an applet (ISO/IEC 7816-15, 8.9): PIN "User PIN" with
// the ID FF and reference 1, 4 to 16 bytes, filled up with zeros.
func pinEntry() []byte {
	number := func(n byte) []byte { return []byte{byte(tagInteger), 1, n} }
	common := iso7816.AppendTLV(nil, tagUTF8, []byte("User PIN"))
	common = iso7816.AppendTLV(common, tagBitString, []byte{6, 0xC0}) // private, modifiable
	class := iso7816.AppendTLV(nil, tagOctets, []byte{0xFF})
	attributes := iso7816.AppendTLV(nil, tagBitString, []byte{2, 0x8C}) // case-sensitive, initialized, needs-padding
	attributes = iso7816.AppendTLV(attributes, tagEnumerated, []byte{1})
	for _, length := range []byte{appletMinPIN, appletMaxPIN, appletMaxPIN} {
		attributes = append(attributes, number(length)...)
	}
	attributes = iso7816.AppendTLV(attributes, 0x80, []byte{appletPIN})
	attributes = iso7816.AppendTLV(attributes, tagOctets, []byte{0})
	entry := iso7816.AppendTLV(nil, tagSequence, common)
	entry = iso7816.AppendTLV(entry, tagSequence, class)
	entry = iso7816.AppendTLV(entry, tagType, iso7816.AppendTLV(nil, tagSequence, attributes))
	return append(iso7816.AppendTLV(nil, tagSequence, entry), 0)
}

// check looks whether the PIN of the directory is set.
func (d isoApplet) check(ctx context.Context, found *Directory, f First) error {
	p := found.UserPIN()
	if p != nil {
		left, err := d.card.Tries(ctx, *p)
		if err != nil {
			return err
		}
		if left < 1 {
			return withoutPIN()
		}
	}
	return d.openSC.check(ctx, found, f)
}
