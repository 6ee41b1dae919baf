package pkcs15

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// errNoStructure is a card without a PKCS#15 structure.
var errNoStructure = errors.New("no PKCS#15 structure")

// applet is an IsoApplet, by the public protocol of its API version 0.6. Its
// files have the identifiers that OpenSC's profile gives them, unless its
// EF.ODF says otherwise.
type applet struct {
	ch           *iso7816.Channel
	major, minor byte
	ecc          bool

	// fresh says that the channel is new, so that nothing is known of what is
	// selected. OpenSC leaves the application DF selected, which is tried
	// first.
	fresh bool
}

// driver is OpenSC's name for the applet's driver.
const driver = "isoApplet"

// Files of the applet.
const (
	fileApplication = 0x5015
	fileDIR         = 0x2F00
	fileODF         = 0x5031
	fileTokenInfo   = 0x5032
	fileAODF        = 0x4401
)

// Reference data of the applet. Lengths are in bytes.
const (
	appletPIN    = 1
	appletPUK    = 2
	appletPINID  = "FF"
	appletMinPIN = 4
	appletMaxPIN = 16
	appletPUKLen = 16
)

const (
	insCreateFile   = 0xE0
	insDeleteFile   = 0xE4
	insReadBinary   = 0xB0
	insUpdateBinary = 0xD6
)

func appletAID() []byte {
	return []byte{0xF2, 0x76, 0xA2, 0x88, 0xBC, 0xFB, 0xA6, 0x9D, 0x34, 0xF3, 0x10, 0x01}
}

func appletUserPIN() PIN {
	return PIN{ID: appletPINID, Label: "User PIN", Reference: appletPIN, Min: appletMinPIN, Max: appletMaxPIN, TriesLeft: -1}
}

func selectApplet(ctx context.Context, ch *iso7816.Channel) (*applet, error) {
	a := &applet{ch: ch}
	return a, a.selectSelf(ctx)
}

func (a *applet) selectSelf(ctx context.Context) error {
	const featureExtended, featureECC = 0x01, 0x04
	answer, err := a.ch.Select(ctx, appletAID())
	if err != nil {
		return err
	}
	if len(answer) < 3 {
		return fmt.Errorf("%w: the applet's version in %d bytes", errMalformed, len(answer))
	}
	a.major, a.minor, a.ecc = answer[0], answer[1], answer[2]&featureECC != 0
	can := a.ch.Capabilities()
	can.Chaining = true
	can.ExtendedLength = can.ExtendedLength || answer[2]&featureExtended != 0
	a.ch.Announce(can)
	a.fresh = false
	return nil
}

// use goes on with another channel.
func (a *applet) use(ch *iso7816.Channel) {
	if ch != a.ch {
		a.ch, a.fresh = ch, true
	}
}

// ready selects the applet where it is not known to be.
func (a *applet) ready(ctx context.Context) error {
	if !a.fresh {
		return nil
	}
	return a.selectSelf(ctx)
}

// directory reads the parts that are not in d yet. A nil d is a new one.
func (a *applet) directory(ctx context.Context, d *Directory, wanted part) (*Directory, error) {
	if d == nil {
		files, err := a.odf(ctx)
		if err != nil {
			return nil, err
		}
		// The applet's one PIN is what it is, whatever the directory says of it.
		d = &Directory{files: files, PINs: []PIN{appletUserPIN()}}
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
			err = readInto(ctx, a, f.path, parseCertificates, &d.Certificates)
		}
		if err != nil {
			return nil, err
		}
	}
	d.has |= wanted
	return d, nil
}

// odf reads EF.ODF, with the application DF selected afterwards.
func (a *applet) odf(ctx context.Context) ([]directoryFile, error) {
	if a.fresh {
		raw, err := a.read(ctx, short(fileODF), iso7816.MaxShortNe)
		if iso7816.StatusOf(err) == 0 && err != nil {
			return nil, err
		}
		if files, parseErr := parseODF(raw); err == nil && parseErr == nil && len(files) > 0 {
			a.fresh = false
			return files, nil
		}
		if err := a.selectSelf(ctx); err != nil {
			return nil, err
		}
	}
	err := a.selectPath(ctx, id(fileApplication))
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return nil, errNoStructure
	}
	if err != nil {
		return nil, err
	}
	raw, err := a.read(ctx, short(fileODF), iso7816.MaxShortNe)
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return nil, errNoStructure
	}
	if err != nil {
		return nil, err
	}
	return parseODF(raw)
}

// tokenInfo reads label and serial. The structure of an interrupted init has
// none.
func (a *applet) tokenInfo(ctx context.Context, d *Directory) error {
	d.named = true
	raw, err := a.read(ctx, short(fileTokenInfo), iso7816.MaxShortNe)
	if err == nil && parseTokenInfo(raw, d) == nil {
		return nil
	}
	if raw, err = a.file(ctx, path(fileApplication, fileTokenInfo)); err == nil {
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
func readInto[T any](ctx context.Context, a *applet, path []byte, parse func([]byte) ([]T, error), list *[]T) error {
	if n := len(path); n >= 2 && path[n-1]&0x1F != 0 {
		raw, err := a.read(ctx, 0x8000|int(path[n-1]&0x1F)<<8, iso7816.MaxExtendedNe)
		if err != nil && iso7816.StatusOf(err) == 0 {
			return err
		}
		if found, parseErr := parse(raw); err == nil && parseErr == nil && len(found) > 0 {
			*list = append(*list, found...)
			return nil
		}
	}
	raw, err := a.file(ctx, path)
	if err != nil {
		return err
	}
	found, err := parse(raw)
	*list = append(*list, found...)
	return err
}

// object reads what an object stands for.
func (a *applet) object(ctx context.Context, at location) ([]byte, error) {
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
func (a *applet) file(ctx context.Context, path []byte) ([]byte, error) {
	if err := a.selectPath(ctx, path); err != nil {
		return nil, err
	}
	return a.read(ctx, 0, iso7816.MaxExtendedNe)
}

// selectPath is SELECT by path from the MF (ISO/IEC 7816-4, 11.2.2).
func (a *applet) selectPath(ctx context.Context, path []byte) error {
	path = bytes.TrimPrefix(path, id(0x3F00))
	_, err := a.ch.Send(ctx, iso7816.Command{INS: iso7816.InsSelect, P1: 0x08, P2: 0x0C, Data: path})
	return err
}

// read is READ BINARY (ISO/IEC 7816-4, 11.3.3) from where on means: P1 and P2.
// It goes on until the file ends.
func (a *applet) read(ctx context.Context, where, atOnce int) ([]byte, error) {
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
		content = append(content, part...)
		if status := iso7816.StatusOf(err); err != nil && status != statusEndOfFile {
			return nil, err
		}
		if len(part) < iso7816.MaxShortNe || err != nil || len(part) > iso7816.MaxShortNe {
			return content, nil
		}
		if atOnce == iso7816.MaxShortNe && bytes.HasSuffix(content, []byte{0, 0}) {
			return content, nil // the rest of EF.ODF is empty
		}
		where = len(content) // the file is current now
	}
	return content, nil
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

// tries is how many tries the PIN has left: VERIFY without data. It is -1
// where there is no PIN yet.
func (a *applet) tries(ctx context.Context) (int, error) {
	if err := a.ready(ctx); err != nil {
		return 0, err
	}
	_, err := a.ch.Send(ctx, iso7816.Command{INS: iso7816.InsVerify, P2: appletPIN})
	if left, ok := iso7816.StatusOf(err).TriesLeft(); ok {
		return left, nil
	}
	if err == nil {
		return -1, nil
	}
	if iso7816.StatusOf(err) == iso7816.StatusPINBlocked {
		return 0, nil
	}
	return 0, err
}

// verify is VERIFY (ISO/IEC 7816-4, 11.5.6).
func (a *applet) verify(ctx context.Context, pin *secret.Bytes) error {
	return a.send(ctx, iso7816.InsVerify, 0, appletPIN, pin.Reveal())
}

// send sends a command whose data may be a secret.
func (a *applet) send(ctx context.Context, ins, p1, p2 byte, data []byte) error {
	_, err := a.ch.Send(ctx, iso7816.Command{INS: ins, P1: p1, P2: p2, Data: data})
	return err
}

// change is CHANGE REFERENCE DATA, both PINs filled up with zeros.
func (a *applet) change(ctx context.Context, old, replacement *secret.Bytes) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	data := make([]byte, 2*appletMaxPIN)
	defer secret.Wipe(data)
	copy(data, old.Reveal())
	copy(data[appletMaxPIN:], replacement.Reveal())
	return a.send(ctx, iso7816.InsChangeReferenceData, 0, appletPIN, data)
}

// unblock is RESET RETRY COUNTER: the PUK, and the new PIN behind it.
func (a *applet) unblock(ctx context.Context, puk, replacement *secret.Bytes) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	data := append(append(make([]byte, 0, appletPUKLen+appletMaxPIN), puk.Reveal()...), replacement.Reveal()...)
	defer secret.Wipe(data)
	return a.send(ctx, iso7816.InsResetRetryCounter, 0, appletPIN, data)
}

// sign makes an RSA PKCS#1 v1.5 signature of a DigestInfo (MANAGE SECURITY
// ENVIRONMENT, PSO: COMPUTE DIGITAL SIGNATURE). The PIN has to be verified.
func (a *applet) sign(ctx context.Context, reference int, info []byte) ([]byte, error) {
	const algorithmPKCS1 = 0x11
	environment := []byte{0x80, 0x01, algorithmPKCS1, 0x81, 0x02, fileApplication >> 8, fileApplication & 0xFF, 0x84, 0x01, byte(reference)}
	if err := a.send(ctx, iso7816.InsManageSecurity, 0x41, 0xB6, environment); err != nil {
		return nil, err
	}
	return a.ch.Send(ctx, iso7816.Command{INS: iso7816.InsPerformSecurityOp, P1: 0x9E, P2: 0x9A, Data: info, Ne: iso7816.MaxShortNe})
}

// usable refuses an applet that OpenSC's driver takes for one it knows.
func (a *applet) usable(v Version) error {
	if a.major == 0 || !v.before(0, 24) {
		return nil
	}
	return problem.New(problem.NotSupported, "OpenSC %s cannot make keys on this IsoApplet", v).
		Because("The applet speaks version %d.%d of its protocol, and this OpenSC only 0.6.", a.major, a.minor).
		Hint("install OpenSC 0.24 or later, or an older IsoApplet")
}
