package pkcs15

import (
	"context"
	"crypto"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// myEIDCard is the driver of a MyEID card: it is read, signs and makes keys
// directly, and gets its certificates so; OpenSC makes its structure, and stores
// keys that were made elsewhere.
type myEIDCard struct{ direct[*myEID] }

func newMyEID(c *Card, m *myEID) myEIDCard { return myEIDCard{direct[*myEID]{openSC{c}, m}} }

func (d myEIDCard) facts() facts {
	return facts{
		driver: myEIDDriver, known: true, needsPUK: true, userPINWrites: true, algorithm: "p256",
		pin:   d.openSC.facts().pin,
		puk:   PIN{Label: "PUK", Unblocking: true, Min: myEIDMinPIN, Max: myEIDMaxPIN, TriesLeft: -1},
		soPIN: PIN{SO: true, Min: myEIDMinPIN, Max: myEIDMaxPIN, TriesLeft: -1},
	}
}

// identity asks another card the same: one that is no MyEID card has none.
func (d myEIDCard) identity(ctx context.Context, ch *iso7816.Channel) (Identity, error) {
	d.native.use(ch)
	there := &myEID{files: d.native.files}
	err := d.native.ready(ctx)
	if err == nil {
		err = there.about(ctx)
	}
	switch {
	case iso7816.StatusOf(err) != 0:
		return Identity{}, nil
	case err != nil:
		return Identity{}, err
	}
	return *there.identity(), nil
}

// puk has the tries that are left, which the card tells of a PUK too.
func (d myEIDCard) puk(ctx context.Context, p PIN) (PIN, error) {
	puk := d.facts().puk
	puk.Reference = p.Reference
	var err error
	puk.TriesLeft, err = d.tries(ctx, puk)
	return puk, err
}

// checkAlgorithm compares the length of a key with what the card makes.
func (d myEIDCard) checkAlgorithm(ctx context.Context, algorithm string) error {
	if err := d.on(ctx, func() error { return d.native.capabilities(ctx) }); err != nil {
		return d.card.explain(err, "reading what the card supports")
	}
	most := d.native.rsaBits
	if _, isEC := curves[algorithm]; isEC {
		most = d.native.ecBits
	}
	if bits, err := strconv.Atoi(strings.TrimLeft(algorithm, "rsap")); err != nil || bits > most {
		return cannotMake(algorithm).
			Because("The card supports RSA keys up to %d bits and EC keys up to %d bits.", d.native.rsaBits, d.native.ecBits)
	}
	return nil
}

// writesWith: the directories are written with PIN 1 alone, and OpenSC takes one
// PIN a run. It is known to send that of a key for the other, too, which costs a
// try, after the key was made or removed.
func (d myEIDCard) writesWith(p PIN) error {
	if p.Reference == myEIDUserPIN {
		return nil
	}
	return problem.New(problem.NotSupported, "keys of this card with the %s cannot be generated or deleted", p.Name()).
		Because("Their directory is written with the first user PIN, and OpenSC would send the %s instead. A key with a new ID gets the first user PIN.", p.Name())
}

// generateKey makes a key where the directories are those of OpenSC's profile.
func (d myEIDCard) generateKey(ctx context.Context, k NewKey, pin *secret.Bytes) error {
	found, err := d.card.read(ctx, partKeys|partPublicKeys)
	if err != nil {
		return err
	}
	if !d.native.generates(found) {
		return d.openSC.generateKey(ctx, k, pin)
	}
	defer d.card.Forget()
	err = d.with(ctx, k.PIN, pin, func() error { return d.native.generate(ctx, found, k) })
	return d.card.explain(err, "generating the key")
}

// publicInKey asks the card, where a pulled one may have it alone.
func (d myEIDCard) publicInKey(ctx context.Context, id []byte) (public crypto.PublicKey, err error) {
	k, err := d.card.Key(ctx, id)
	if err != nil || k == nil || len(k.path) == 0 {
		return nil, err
	}
	err = d.in(ctx, func() error {
		if err := d.native.selectPath(ctx, k.path); err != nil {
			return err
		}
		public, err = d.native.public(ctx, k.EC)
		return err
	})
	if iso7816.StatusOf(err) != 0 {
		return nil, nil // the card does not tell without the PIN
	}
	return public, err
}
