package pkcs15

import (
	"context"
	"crypto"
	"regexp"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// isoApplet is the driver of an IsoApplet: it is read and signs directly, and gets
// its certificates so; OpenSC makes its structure and its keys.
type isoApplet struct{ direct[*applet] }

func newIsoApplet(c *Card, a *applet) isoApplet {
	return isoApplet{direct[*applet]{openSC{c}, a}}
}

func (d isoApplet) facts() facts {
	algorithm := "rsa2048"
	if d.native.ecc && d.native.signsDigests() {
		algorithm = "p256"
	}
	return facts{
		driver: appletDriver, known: true, onePIN: true,
		algorithm: algorithm, onlyPKCS1: !d.native.pss,
		pin:   appletUserPIN(),
		puk:   PIN{Label: "PUK", Unblocking: true, Reference: appletPUK, Min: appletPUKLen, Max: appletPUKLen, TriesLeft: -1},
		soPIN: PIN{SO: true, Min: 1, TriesLeft: -1},
	}
}

// puk: the applet has one, of which it tells nothing.
func (d isoApplet) puk(context.Context, PIN) (PIN, error) { return d.facts().puk, nil }

// curve is a curve in what opensc-tool --list-algorithms prints.
var curve = regexp.MustCompile(`(?m)^Algorithm: ec\s*$`)

// usable refuses an applet whose version OpenSC does not read. It takes such a one for an
// old one, on which it makes a structure, and then no keys. That shows in the curves: old
// applets have all but two, and others all or none.
func (d isoApplet) usable(ctx context.Context) error {
	const curvesOfOld = 8 // OpenSC, libopensc/card-isoApplet.c
	if d.native.major == 0 {
		return nil
	}
	list, err := d.card.tool(ctx, call{program: "opensc-tool", args: []string{"--list-algorithms"}})
	if err != nil {
		return d.card.explain(err, "asking OpenSC what it can do with the card")
	}
	if len(curve.FindAll(list, -1)) != curvesOfOld {
		return nil
	}
	return problem.New(problem.NotSupported, "this version of OpenSC cannot generate keys on this IsoApplet").
		Because("The applet uses version %d.%d of its protocol; OpenSC takes it for an older one.", d.native.major, d.native.minor).
		Advise(advice.Say("Install a newer OpenSC, then run the command again."))
}

func (d isoApplet) checkAlgorithm(_ context.Context, algorithm string) error {
	can := []string{"rsa2048"}
	if d.native.rsa4096 {
		can = append(can, "rsa4096")
	}
	if d.native.ecc {
		can = append(can, "p256", "p384")
	}
	if !slices.Contains(can, algorithm) {
		return cannotMake(algorithm).Because("This IsoApplet reports version %d.%d and support for %s.", d.native.major, d.native.minor, strings.Join(can, ", "))
	}
	return nil
}

func (d isoApplet) checkImport(ctx context.Context, p PIN, pin *secret.Bytes) error {
	defer d.card.Forget()
	err := d.with(ctx, p, pin, func() error { return d.native.importable(ctx) })
	return d.card.explain(err, "checking whether the card accepts keys")
}

func (d isoApplet) signsWith(k *PrivateKey, opts crypto.SignerOpts) error {
	switch {
	case k.EC && !d.native.signsDigests():
		return problem.New(problem.NotSupported, "this card cannot sign with %s", opts.HashFunc()).
			Because("With an EC key, IsoApplet of version %d.%d computes the digest itself and uses only SHA-1.", d.native.major, d.native.minor).
			Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Algorithm, "rsa2048"), advice.Fill(advice.Key)))
	case !k.EC && !d.native.pss:
		return withoutPSS(opts, "This IsoApplet does not report that it supports it.")
	}
	return nil
}
