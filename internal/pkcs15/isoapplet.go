package pkcs15

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// applet is an IsoApplet, by the public protocol of its API versions 0.6 and 1.0.
// Its files have the identifiers that OpenSC's profile gives them, unless its
// EF.ODF says otherwise.
type applet struct {
	files
	major, minor      byte
	ecc, rsa4096, pss bool

	token *Directory // label and serial, as identity read them on this channel
}

// appletDriver is OpenSC's name for the applet's driver.
const appletDriver = "isoApplet"

// The lengths of PINs and PUKs in bytes that cards can have which OpenSC creates a file
// system on: IsoApplet has up to 16, MyEID up to 8.
const (
	LeastPIN = appletMinPIN
	MostPIN  = appletPUKLen
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

func appletAID() []byte {
	return []byte{0xF2, 0x76, 0xA2, 0x88, 0xBC, 0xFB, 0xA6, 0x9D, 0x34, 0xF3, 0x10, 0x01}
}

func appletUserPIN() PIN {
	return PIN{ID: appletPINID, Label: "User PIN", Reference: appletPIN, Min: appletMinPIN, Max: appletMaxPIN, TriesLeft: -1}
}

func selectApplet(ctx context.Context, ch *iso7816.Channel) (*applet, error) {
	// The applet's one PIN is what it is, whatever the directory says of it.
	a := &applet{files: files{ch: ch, shortIDs: true, pins: []PIN{appletUserPIN()}}}
	a.enter, a.layout = a.selectSelf, a.certificates()
	return a, a.selectSelf(ctx)
}

func (a *applet) selectSelf(ctx context.Context) error {
	const featureExtended, featureECC, featurePSS, featureRSA4096 = 0x01, 0x04, 0x08, 0x20
	a.inside = false
	answer, err := a.ch.Select(ctx, appletAID())
	if err == nil && len(answer) == 0 {
		answer, err = a.laterVersion(ctx)
	}
	if err != nil {
		return err
	}
	if len(answer) < 3 {
		return fmt.Errorf("%w: the applet's version in %d bytes", errMalformed, len(answer))
	}
	a.major, a.minor, a.ecc, a.rsa4096 = answer[0], answer[1], answer[2]&featureECC != 0, answer[2]&featureRSA4096 != 0
	a.pss = answer[2]&featurePSS != 0
	a.ecc = a.ecc || a.major == 0 && a.minor <= 5 // which do not tell
	can := a.ch.Capabilities()
	can.Chaining = true
	can.ExtendedLength = can.ExtendedLength || answer[2]&featureExtended != 0
	a.ch.Announce(can)
	a.fresh = false
	return nil
}

// laterVersion is the answer of an applet that has GET DATA for its version: 1.0
// and later. One that has not is older than versions are, unless the card selects any
// name.
func (a *applet) laterVersion(ctx context.Context) ([]byte, error) {
	answer, err := a.ch.Send(ctx, iso7816.Command{INS: iso7816.InsGetData, P1: 0x01, P2: 0x01, Ne: iso7816.MaxShortNe})
	if iso7816.StatusOf(err) == 0 {
		return answer, err
	}
	nobody := append(appletAID()[:11], 0xFF)
	if _, err := a.ch.Select(ctx, nobody); iso7816.StatusOf(err) == 0 {
		return nil, err // no version: this is another application
	}
	_, err = a.ch.Select(ctx, appletAID())
	return []byte{0, 0, 0}, err
}

// tries is how many tries the PIN has left: VERIFY without data. It is -1
// where there is no PIN yet, and of the PUK, which the applet does not tell.
func (a *applet) tries(ctx context.Context, p PIN) (int, error) {
	if p.Unblocking {
		return -1, nil
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
func (a *applet) verify(ctx context.Context, _ PIN, pin *secret.Bytes) error {
	return a.send(ctx, iso7816.InsVerify, 0, appletPIN, pin.Reveal())
}

// change is CHANGE REFERENCE DATA, both PINs filled up with zeros.
func (a *applet) change(ctx context.Context, _ PIN, old, replacement *secret.Bytes) error {
	data := make([]byte, 2*appletMaxPIN)
	defer secret.Wipe(data)
	copy(data, old.Reveal())
	copy(data[appletMaxPIN:], replacement.Reveal())
	return a.send(ctx, iso7816.InsChangeReferenceData, 0, appletPIN, data)
}

// importable refuses an applet that is built without key import, which refuses
// PUT DATA as such; one with it misses the key in it. The PIN is verified.
func (a *applet) importable(ctx context.Context) error {
	const notAllowed iso7816.Status = 0x6900
	_, err := a.ch.Send(ctx, iso7816.Command{INS: iso7816.InsPutDataOdd, P1: 0x3F, P2: 0xFF})
	switch iso7816.StatusOf(err) {
	case 0:
		return err
	case notAllowed:
		p := problem.New(problem.NotSupported, "this IsoApplet does not support importing keys").
			Because("The applet was built without this feature [%s].", notAllowed).
			Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
		p.Cause = err
		return p
	}
	return nil
}

// unblock is RESET RETRY COUNTER: the PUK, and the new PIN behind it.
func (a *applet) unblock(ctx context.Context, _ PIN, puk, replacement *secret.Bytes) error {
	data := append(append(make([]byte, 0, appletPUKLen+appletMaxPIN), puk.Reveal()...), replacement.Reveal()...)
	defer secret.Wipe(data)
	return a.send(ctx, iso7816.InsResetRetryCounter, 0, appletPIN, data)
}

// signsDigests reports whether an EC key signs the digest that it is given: from version
// 1.0 on. Before, the applet makes one of its own with SHA-1.
func (a *applet) signsDigests() bool { return a.major > 0 }

// sign makes an RSA signature or one of ECDSA (MANAGE SECURITY ENVIRONMENT, PSO: COMPUTE
// DIGITAL SIGNATURE). The salt of PSS is as long as the digest. The PIN has to be verified.
func (a *applet) sign(ctx context.Context, k *PrivateKey, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	const algorithmPSS, algorithmECDSA = 0x12, 0x21
	algorithm, input := byte(appletPKCS1), digest
	_, pss := opts.(*rsa.PSSOptions)
	switch {
	case k.EC:
		algorithm = algorithmECDSA
	case pss:
		algorithm = algorithmPSS
	default:
		var err error
		if input, err = pubkey.DigestInfo(opts.HashFunc(), digest); err != nil {
			return nil, err
		}
	}
	if err := a.environment(ctx, templateSignature, algorithm, k); err != nil {
		return nil, err
	}
	return a.ch.Send(ctx, iso7816.Command{INS: iso7816.InsPerformSecurityOp, P1: 0x9E, P2: 0x9A, Data: input, Ne: max(iso7816.MaxShortNe, k.Bits/8)})
}

// appletPKCS1 is RSA with PKCS#1 v1.5 padding, of a signature or a ciphertext.
const appletPKCS1 = 0x11

// environment is MANAGE SECURITY ENVIRONMENT with a key.
func (a *applet) environment(ctx context.Context, template, algorithm byte, k *PrivateKey) error {
	file := [2]byte{fileApplication >> 8, fileApplication & 0xFF}
	return a.send(ctx, iso7816.InsManageSecurity, 0x41, template, environment(algorithm, file, byte(k.Reference)))
}
