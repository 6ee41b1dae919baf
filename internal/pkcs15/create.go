package pkcs15

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Status is how far a card is on its way into use.
type Status struct {
	// Directory is what is on the card; nil where there is no structure, or
	// one that cannot be read.
	Directory *Directory
	// Structure says that there is one, or the beginning of one.
	Structure bool
	// PINSet says that an IsoApplet has its PIN, TriesLeft what that has left.
	PINSet    bool
	TriesLeft int
	// Erasing is the PIN without which the card cannot be erased: of a card that
	// is reached through OpenSC, the SO PIN. It is nil where the card can.
	Erasing *PIN
}

// Status looks at a card that is to be initialised.
func (c *Card) Status(ctx context.Context) (Status, error) {
	s := Status{TriesLeft: -1}
	if c.applet != nil {
		var err error
		// Without a PIN there are no keys, and whatever files there are, is the
		// remainder of an earlier run.
		if s.TriesLeft, err = c.Tries(ctx, c.FirstPIN()); err != nil || s.TriesLeft < 0 {
			return s, err
		}
		s.PINSet = true
	}
	d, err := c.Directory(ctx)
	switch {
	case err == nil:
		s.Directory, s.Structure = d, true
	case problem.Is(err, problem.NotFound) && errors.Is(err, errNoStructure):
	case errors.Is(err, errMalformed):
		s.Structure = true
	default:
		return s, err
	}
	if c.applet == nil {
		s.PINSet = d != nil && d.UserPIN() != nil
	}
	switch {
	case c.myEID != nil:
		err := c.direct(ctx, func() (err error) {
			s.Erasing, err = c.myEID.erasing(ctx, d)
			return err
		})
		return s, c.explain(err, "looking who may erase the card")
	case c.native == nil && d != nil:
		s.Erasing = d.SOPIN()
	}
	return s, nil
}

// First is what a card shall have after Create. Secrets are nil where it shall
// have none.
type First struct {
	Label    string
	Serial   string // hex
	PIN, PUK *secret.Bytes
	SOPIN    *secret.Bytes // of cards that have one beside the user PIN
	Current  *secret.Bytes // the value of Status.Erasing now
}

// Prepare refuses what is known not to work on this card, before anything is
// changed.
func (c *Card) Prepare(ctx context.Context, s Status, allowLastTry bool) error {
	if c.line.Reader() == "" {
		_, err := c.tool(ctx, call{}) // says why
		return err
	}
	if err := c.usable(ctx); err != nil {
		return err
	}
	switch {
	case s.Erasing == nil:
	case c.myEID != nil:
		if err := c.direct(ctx, func() error { return c.myEID.erasable(ctx, s.Erasing, allowLastTry) }); err != nil {
			return c.explain(err, "looking who may erase the card")
		}
	default:
		if err := s.Erasing.CheckTries(allowLastTry); err != nil {
			return err
		}
	}
	_, err := c.openSC(ctx)
	return err
}

// Create erases the card where there is something on it, and makes a PKCS#15
// structure with a user PIN. progress is told what is on the card meanwhile.
func (c *Card) Create(ctx context.Context, s Status, f First, progress func(state string)) error {
	defer c.Forget()
	if c.myEID != nil {
		return c.createMyEID(ctx, s, f, progress)
	}
	if c.applet == nil {
		return c.createByProfile(ctx, s, f, progress)
	}
	if s.PINSet {
		return c.renew(ctx, f, progress)
	}
	progress("The card may have a PUK or a PIN by now; the same command again completes it.")
	err := c.createApplet(ctx, f, f.PUK)
	if err == nil || failure(err) == nil {
		return c.explain(err, "creating the PKCS#15 structure")
	}
	if c.gone(ctx) {
		return removed(err)
	}
	now, err := c.Tries(ctx, c.FirstPIN())
	if err != nil {
		return err
	}
	if now >= 0 {
		return problem.New(problem.Failed, "creating the PKCS#15 structure").
			Because("pkcs15-init failed after it had set the PIN.").Hint("the same command again")
	}
	// An earlier run was interrupted: the applet may have its PUK, which
	// cannot be set again, and files without access conditions.
	progress("The card has no PIN yet; the same command again completes it.")
	if err := c.clear(ctx); err != nil {
		return c.explain(err, "removing the old structure")
	}
	if f.PUK != nil {
		err = c.direct(ctx, func() error {
			return c.applet.send(ctx, iso7816.InsChangeReferenceData, 1, appletPUK, f.PUK.Reveal())
		})
		if err != nil && iso7816.StatusOf(err) != iso7816.StatusWrongP1P2 {
			return c.explain(err, "setting the PUK")
		}
	}
	return c.judge(ctx, c.createApplet(ctx, f, nil), c.FirstPIN(), "creating the PKCS#15 structure")
}

// createApplet makes the structure of an applet that has no PIN.
func (c *Card) createApplet(ctx context.Context, f First, puk *secret.Bytes) error {
	if puk == nil {
		puk = secret.New(nil) // else pkcs15-init asks for it
	}
	_, err := c.tool(ctx, call{
		program: "pkcs15-init", args: []string{"--create-pkcs15", "--label", f.Label, "--serial", f.Serial},
		secrets: []handover{{"--so-pin", f.PIN}, {"--so-puk", puk}},
	})
	return err
}

// renew gives an applet that is in use a new structure. pkcs15-init cannot
// erase it; its files go without any PIN, and what has to be there for the PIN
// is written here. The PUK sets the new PIN; without it the PIN has to be the
// card's own.
func (c *Card) renew(ctx context.Context, f First, progress func(state string)) error {
	var err error
	if f.PUK != nil {
		err = c.UnblockPIN(ctx, c.FirstPIN(), c.FirstPUK(), f.PUK, f.PIN)
	} else {
		err = c.direct(ctx, func() error {
			if err := c.applet.ready(ctx); err != nil {
				return err
			}
			return c.sendPIN(ctx, c.FirstPIN(), f.PIN)
		})
	}
	if err != nil {
		return err
	}
	progress("The PIN is the new one, and the card is half erased; the same command again completes it.")
	if err := c.clear(ctx); err != nil {
		return c.explain(err, "removing the old structure")
	}
	_, err = c.tool(ctx, call{
		program: "pkcs15-init", args: []string{"--create-pkcs15", "--no-so-pin", "--label", f.Label, "--serial", f.Serial},
	})
	if err != nil {
		return c.judge(ctx, err, c.FirstPIN(), "creating the PKCS#15 structure")
	}
	err = c.direct(ctx, func() error { return c.applet.writePIN(ctx, f.PIN) })
	return c.explain(err, "writing the directory of PINs")
}

// clear removes the structure of an applet.
func (c *Card) clear(ctx context.Context) error {
	return c.direct(ctx, func() error {
		if err := c.applet.selectSelf(ctx); err != nil {
			return err
		}
		for _, file := range []int{fileApplication, fileDIR} {
			err := c.applet.send(ctx, insDeleteFile, 0, 0, id(file))
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

// profile is what has to be known of a kind of card that is initialised through
// OpenSC alone.
type profile struct {
	name     string // how OpenSC's name of the card begins
	finalize bool   // there is no access control before pkcs15-init --finalize
	needPUK  bool   // there is no PIN without a PUK
}

// profileOf is the profile of a card; that of most others where it is not known.
func profileOf(name string) profile {
	for _, p := range []profile{
		{name: "MyEID", finalize: true, needPUK: true},
		{name: "OsEID", finalize: true, needPUK: true},
	} {
		if strings.HasPrefix(name, p.name) {
			return p
		}
	}
	return profile{}
}

// createByProfile initialises a card of another kind as OpenSC's profile for it
// says: one run erases, one creates, and one stores the PIN, for the label of the
// card and that of the PIN are the same option. --erase-card asks for an SO PIN at
// a terminal, whatever it is told; --erase-application does not.
func (c *Card) createByProfile(ctx context.Context, s Status, f First, progress func(state string)) error {
	name, err := c.tool(ctx, call{program: "opensc-tool", args: []string{"--name"}})
	if err != nil {
		return c.explain(err, "asking OpenSC what the card is")
	}
	c.name = printable([]byte(strings.TrimSpace(string(name))))
	kind := profileOf(c.name)
	if err := c.eraseByProfile(ctx, s, f, kind); err != nil {
		return err
	}
	progress("The card may be erased; the same command again completes it.")
	create := call{program: "pkcs15-init", args: []string{"--create-pkcs15", "--label", f.Label, "--serial", f.Serial}}
	if f.SOPIN != nil {
		puk := secret.New(nil)
		if kind.needPUK {
			puk = randomPUK()
			defer puk.Wipe()
		}
		create.secrets = []handover{{"--so-pin", f.SOPIN}, {"--so-puk", puk}}
	} else {
		create.args = append(create.args, "--no-so-pin")
	}
	if _, err := c.tool(ctx, create); err != nil {
		return c.judge(ctx, err, PIN{SO: true, TriesLeft: -1}, "creating the PKCS#15 structure")
	}
	progress("The card is erased and has no user PIN yet; the same command again completes it.")
	p := c.FirstPIN()
	puk := f.PUK
	if puk == nil {
		puk = secret.New(nil)
	}
	store := call{
		program: "pkcs15-init", args: []string{"--store-pin", "--auth-id", p.ID, "--label", p.Label},
		secrets: []handover{{"--pin", f.PIN}, {"--puk", puk}},
	}
	if f.SOPIN != nil {
		store.secrets = append(store.secrets, handover{"--so-pin", f.SOPIN})
	}
	if kind.finalize {
		store.args = append(store.args, "--finalize")
	}
	_, err = c.tool(ctx, store)
	return c.judge(ctx, err, p, "storing the user PIN")
}

// eraseByProfile erases a card where there is something on it, and one whose
// erasing says who may erase it next. pkcs15-init does nothing else in that run.
func (c *Card) eraseByProfile(ctx context.Context, s Status, f First, kind profile) error {
	switch {
	case s.Erasing != nil:
		_, err := c.tool(ctx, call{
			program: "pkcs15-init", args: []string{"--erase-application", hex.EncodeToString(pkcs15AID())},
			secrets: []handover{{"--so-pin", f.Current}},
		})
		return c.judge(ctx, err, *s.Erasing, "erasing the card")
	case s.Structure, kind.finalize:
		_, err := c.tool(ctx, call{program: "pkcs15-init", args: []string{"--erase-card"}})
		return c.judge(ctx, err, PIN{TriesLeft: -1}, "erasing the card")
	}
	return nil
}

// Check looks whether Create did what it said.
func (c *Card) Check(ctx context.Context, f First) error {
	c.Forget()
	d, err := c.Directory(ctx)
	if err != nil {
		return err
	}
	p := d.UserPIN()
	if p != nil && c.applet != nil {
		if p.TriesLeft, err = c.Tries(ctx, *p); err != nil {
			return err
		}
	}
	if p == nil || c.applet != nil && p.TriesLeft < 1 {
		return problem.New(problem.Failed, "pkcs15-init said that it was done, and the card has no user PIN").
			Hint("the same command again")
	}
	if len(d.Keys) > 0 || len(d.Certificates) > 0 {
		return problem.New(problem.Failed, "the card was erased, and there are still objects on it")
	}
	if c.myEID != nil {
		return c.checkMyEID(ctx, d, f)
	}
	return nil
}
