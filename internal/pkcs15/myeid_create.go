package pkcs15

import (
	"context"
	"crypto/rand"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// References that OpenSC's profile gives to PINs.
const (
	myEIDUserPIN = 1
	myEIDSOPIN   = 3
)

// unlockedReference is the half byte of an access condition that everybody meets,
// neverReference that nobody does.
const (
	unlockedReference = 0x0
	neverReference    = 0xF
)

// erasing is the PIN that lets the card be erased: as the access conditions of
// the MF say, once the card is activated. It is nil where none is asked for.
func (m *myEID) erasing(ctx context.Context, d *Directory) (*PIN, error) {
	const tagFCI, tagAccess, tagLifeCycle, activated = 0x6F, 0x86, 0x8A, 0x05 // ISO/IEC 7816-4, 7.4.10
	answer, err := m.ch.Send(ctx, iso7816.Command{INS: iso7816.InsSelect, Data: id(0x3F00), Ne: iso7816.MaxShortNe})
	if err != nil {
		return nil, err
	}
	reference := myEIDSOPIN // as OpenSC's profile has it
	if access, ok := iso7816.FindTLV(answer, tagFCI, tagAccess); ok && len(access) > 1 {
		reference = int(access[1] >> 4)
	}
	lifeCycle, _ := iso7816.FindTLV(answer, tagFCI, tagLifeCycle)
	if len(lifeCycle) != 1 || lifeCycle[0]&activated != activated || reference == unlockedReference {
		return nil, nil
	}
	p := PIN{ID: "FF", SO: reference != myEIDUserPIN, Reference: reference, Min: myEIDMinPIN, Max: myEIDMaxPIN, TriesLeft: -1}
	if d != nil {
		if listed := find(d.PINs, func(p *PIN) bool { return p.Reference == reference && !p.Unblocking }); listed != nil {
			p = *listed
		}
	}
	if reference != neverReference {
		p.TriesLeft, err = m.tries(ctx, p)
	}
	return &p, err
}

const stillChanged = "Its PINs and keys can be changed one by one."

// erasable refuses a card that cannot be erased.
func (m *myEID) erasable(ctx context.Context, p *PIN) error {
	never := problem.New(problem.NotSupported, "this card cannot be erased")
	if p.Reference == neverReference {
		return never.Because("The card was activated with erasing disabled. " + stillChanged)
	}
	if p.TriesLeft != 0 {
		return nil
	}
	if _, set, err := m.pinInfo(ctx, p.Reference); err == nil && !set {
		return never.Because("Only PIN number %d may erase the card, and it was never set. %s", p.Reference, stillChanged)
	}
	return nil
}

func (d myEIDCard) status(ctx context.Context) (Status, error) {
	s, err := d.card.structure(ctx)
	if err != nil {
		return s, err
	}
	err = d.in(ctx, func() error { s.Erasing, err = d.native.erasing(ctx, s.Directory); return err })
	return s, d.card.explain(err, "checking who may erase the card")
}

func (d myEIDCard) erasable(ctx context.Context, s Status) error {
	return d.in(ctx, func() error { return d.native.erasable(ctx, s.Erasing) })
}

// create erases the card, makes a structure with the PINs and activates it.
// pkcs15-init makes the structure and the PINs in one run. It erases a card that
// is activated only where it can ask for the SO PIN itself, and locks one
// without an SO PIN for ever, so that the erasing is done here.
func (d myEIDCard) create(ctx context.Context, s Status, f First, progress func(state string)) error {
	if err := d.erase(ctx, s, f); err != nil {
		return err
	}
	progress("The card is erased but has no access control yet." + toFinish)
	args := []string{"--create-pkcs15", "--store-pin", "--auth-id", "01", "--label", f.Label}
	secrets := []handover{{"--pin", f.PIN}, {"--puk", f.PUK}}
	if f.SOPIN != nil {
		unknown := randomPUK()
		defer unknown.Wipe()
		secrets = append(secrets, handover{"--so-pin", f.SOPIN}, handover{"--so-puk", unknown})
	} else {
		args = append(args, "--no-so-pin")
	}
	_, err := d.card.tool(ctx, call{program: "pkcs15-init", args: args, secrets: secrets})
	if err != nil {
		return d.card.judge(ctx, err, PIN{TriesLeft: -1}, "creating the PKCS#15 structure")
	}
	err = d.in(ctx, func() error { return d.native.namePIN(ctx) })
	if err != nil {
		return d.card.explain(err, "naming the user PIN")
	}
	progress("It is not known whether the card is activated." + toFinish)
	err = d.on(ctx, func() error { return d.native.send(ctx, insActivate, 0x04, 0, pkcs15AID()) })
	return d.card.explain(err, "activating the card")
}

// randomPUK is the PUK of an SO PIN, which nobody shall know: the holder of the
// user's PUK could take the card over with it.
func randomPUK() *secret.Bytes {
	digits := make([]byte, myEIDMaxPIN)
	_, _ = rand.Read(digits) // never fails
	for i, b := range digits {
		digits[i] = '0' + b%10
	}
	return secret.New(digits)
}

// erase is INITIALIZE APPLET: everything goes, PINs too. Files may be made
// with the user PIN then, and the card erased with the SO PIN, or without one
// with the user PIN.
func (d myEIDCard) erase(ctx context.Context, s Status, f First) error {
	const nobody, allTheRoom = neverReference, 0xFF
	eraser := byte(myEIDUserPIN)
	if f.SOPIN != nil {
		eraser = myEIDSOPIN
	}
	user := byte(myEIDUserPIN)
	conditions := []byte{
		allTheRoom, allTheRoom,
		user<<4 | user, eraser<<4 | nobody, nobody<<4 | nobody,
		user<<4 | user, user<<4 | nobody, nobody<<4 | nobody,
	}
	err := d.in(ctx, func() error {
		if s.Erasing != nil {
			err := d.native.verify(ctx, *s.Erasing, f.Current)
			if wrong := refused(*s.Erasing, err); wrong != nil {
				return wrong
			}
			if err != nil {
				return err
			}
		}
		return d.native.send(ctx, iso7816.InsPutData, byte(objectInitialise>>8), byte(objectInitialise&0xFF), conditions)
	})
	return d.card.explain(err, "erasing the card")
}

// namePIN gives the user PIN a label of its own: pkcs15-init gave it that of
// the card.
func (m *myEID) namePIN(ctx context.Context) error {
	raw, err := m.room(ctx, path(fileApplication, fileAODF))
	if err != nil {
		return err
	}
	objects, err := iso7816.ParseTLVs(raw)
	if err != nil {
		return err
	}
	var content []byte
	for _, object := range objects {
		whole := iso7816.AppendTLV(nil, object.Tag, object.Value)
		pins, err := parsePINs(whole)
		if err == nil && len(pins) == 1 && pins[0].Reference == myEIDUserPIN {
			if common, rest, err := iso7816.ParseTLV(object.Value); err == nil {
				if _, flags, err := iso7816.ParseTLV(common.Value); err == nil {
					named := append(iso7816.AppendTLV(nil, tagUTF8, []byte("User PIN")), flags...)
					whole = iso7816.AppendTLV(nil, object.Tag, append(iso7816.AppendTLV(nil, tagSequence, named), rest...))
				}
			}
		}
		content = append(content, whole...)
	}
	return m.rewrite(ctx, raw, content)
}

// check looks whether the card is activated and has the PINs that it shall
// have.
func (d myEIDCard) check(ctx context.Context, found *Directory, f First) error {
	if err := d.openSC.check(ctx, found, f); err != nil {
		return err
	}
	failed := func(what string) error {
		return problem.New(problem.Failed, "pkcs15-init reported success, but %s", what).Advise(advice.Repeat())
	}
	if f.SOPIN != nil && found.SOPIN() == nil {
		return failed("the card does not have the expected PINs")
	}
	err := d.in(ctx, func() error {
		eraser, err := d.native.erasing(ctx, found)
		if err != nil {
			return err
		}
		if eraser == nil {
			return failed("the card has no access control")
		}
		if err := d.native.verify(ctx, *found.UserPIN(), f.PIN); err != nil {
			return err
		}
		if f.SOPIN == nil {
			return nil
		}
		return d.native.verify(ctx, *found.SOPIN(), f.SOPIN)
	})
	if refused(PIN{}, err) != nil {
		return failed("the PINs of the card are not the new ones")
	}
	return d.card.explain(err, "checking the card")
}
