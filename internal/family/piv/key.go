package piv

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// slotKey is the key in a slot, or the place for one.
type slotKey struct {
	*onCard
	ref  key.Reference
	slot app.Slot
	// shown is what the caller was told of the key; nil for nothing.
	shown *found
	// What was read, until the card is taken again.
	on          *app.Card
	found       *found
	certificate *stored
	// before is what was found before the card was taken again.
	before found
}

// found is what is known of the key in a slot.
type found struct {
	state  state
	public crypto.PublicKey // nil where the card does not tell it
	// certified says that public is that of the certificate, and no other way told it.
	certified bool
	algorithm key.Algorithm
	about     app.Metadata
}

type state int

const (
	unknown state = iota // the card does not tell whether there is a key
	empty
	present
)

// stored is a certificate as it was read; der is nil where there is none.
type stored struct {
	der []byte
	err error
}

func (k *slotKey) Reference() key.Reference { return k.ref }

func (k *slotKey) explain(err error, state string) error { return explain(err, k.ref.String(), state) }

// fresh drops what was read before the card was taken again.
func (k *slotKey) fresh(ctx context.Context) (*app.Card, error) {
	selected, err := k.application(ctx)
	if selected != k.on {
		if k.found != nil {
			k.before = *k.found
		}
		k.on, k.found, k.certificate = selected, nil, nil
	}
	return selected, err
}

// look finds out whether there is a key, and which: from its metadata, a statement of
// the card about it, its certificate, and what the card answers to a use without a PIN.
func (k *slotKey) look(ctx context.Context) (*found, error) {
	selected, err := k.fresh(ctx)
	if err != nil || k.found != nil {
		return k.found, err
	}
	for _, way := range k.ways() {
		now, err := way(ctx, selected)
		if err != nil && !app.Unanswered(err) {
			return nil, err
		}
		if err == nil && now.state != unknown {
			return k.saw(now), nil
		}
	}
	return k.saw(&found{}), nil
}

func (k *slotKey) saw(now *found) *found {
	k.found = now
	k.looked[k.slot] = now.state
	return now
}

// ways to know the key of a slot, in the order of what they prove. What attests the
// others is known by its certificate, which the maker put beside it.
func (k *slotKey) ways() []func(context.Context, *app.Card) (*found, error) {
	if k.slot == app.Attestation {
		return []func(context.Context, *app.Card) (*found, error){k.byCertificate, k.byMetadata}
	}
	return []func(context.Context, *app.Card) (*found, error){k.byMetadata, k.byStatement, k.byCertificate, k.byUse}
}

func (k *slotKey) byMetadata(ctx context.Context, selected *app.Card) (*found, error) {
	m, err := k.about(ctx, byte(k.slot))
	if errors.Is(err, app.ErrEmpty) {
		return &found{state: empty}, nil
	}
	if err != nil {
		return nil, err
	}
	now := &found{state: present, public: m.Public, about: m}
	if algorithm, known := m.Algorithm.Name(); known {
		now.algorithm = key.Algorithm(algorithm)
	}
	if now.public != nil {
		return now, nil
	}
	for _, way := range []func(context.Context, *app.Card) (*found, error){k.byStatement, k.byCertificate} {
		other, err := way(ctx, selected)
		if err != nil && !app.Unanswered(err) {
			return nil, err
		}
		if err == nil && other.public != nil {
			now.public, now.certified = other.public, other.certified
			return now, nil
		}
	}
	return now, nil
}

// byStatement has the card attest the key: that it does not tells nothing of a key
// that was imported.
func (k *slotKey) byStatement(ctx context.Context, selected *app.Card) (*found, error) {
	statement, err := selected.Attest(ctx, k.slot)
	if errors.Is(err, app.ErrEmpty) {
		return &found{}, nil
	}
	if err != nil {
		return nil, err
	}
	public, err := app.PublicKeyOf(statement)
	return &found{state: present, public: public, algorithm: key.AlgorithmOf(public)}, err
}

func (k *slotKey) byCertificate(ctx context.Context, _ *app.Card) (*found, error) {
	der, err := k.Certificate(ctx)
	if err != nil || der == nil {
		return &found{}, err
	}
	public, err := app.PublicKeyOf(der)
	return &found{state: present, public: public, algorithm: key.AlgorithmOf(public), certified: true}, err
}

// byUse has the card use the key without a PIN, once for each algorithm. A card that
// refuses one algorithm for the PIN and others for the algorithm has a key of the first;
// one that refuses all for the algorithm has none.
func (k *slotKey) byUse(ctx context.Context, selected *app.Card) (*found, error) {
	var there []app.Algorithm
	var refused int
	tried := []app.Algorithm{app.P256, app.P384, app.RSA2048, app.RSA1024}
	for _, algorithm := range tried {
		challenge, err := algorithm.Draw(rand.Reader)
		if err != nil {
			return nil, err
		}
		_, err = selected.Use(ctx, k.slot, algorithm, challenge)
		switch status := iso7816.StatusOf(err); {
		case err == nil || status == iso7816.StatusSecurityNotSatisfied:
			there = append(there, algorithm)
		case slices.Contains(noSuchKey, status):
			refused++
		case status == 0:
			return nil, err
		}
	}
	switch {
	case len(there) == 1 && refused == len(tried)-1:
		name, _ := there[0].Name()
		return &found{state: present, algorithm: key.Algorithm(name)}, nil
	case refused == len(tried):
		return &found{state: empty}, nil
	}
	return &found{}, nil
}

// noSuchKey are answers to a use of a key that is not there, or of another algorithm.
var noSuchKey = []iso7816.Status{
	iso7816.StatusWrongP1P2, iso7816.StatusReferenceNotFound, iso7816.StatusWrongData, iso7816.StatusFileNotFound,
}

// used reports whether a slot that is seldom used holds anything: one command, where
// the card tells of keys or of a certificate.
func (k *slotKey) used(ctx context.Context) (bool, error) {
	if k.slot != app.Attestation {
		_, err := k.about(ctx, byte(k.slot))
		if err == nil || errors.Is(err, app.ErrEmpty) || !app.Unanswered(err) {
			return err == nil, k.explainUnlessEmpty(err)
		}
	} else if yubico, err := k.yubico(ctx); err != nil || !yubico {
		return false, err
	}
	der, err := k.Certificate(ctx)
	if err != nil && key.Unreachable(ctx, err) {
		return false, err
	}
	return err != nil || der != nil, nil
}

// holdsKey reports whether the metadata of the slot, or else a statement about its key, say
// that there is one.
func (k *slotKey) holdsKey(ctx context.Context) (bool, error) {
	_, err := k.about(ctx, byte(k.slot))
	if err != nil && !errors.Is(err, app.ErrEmpty) && app.Unanswered(err) {
		var selected *app.Card
		if selected, err = k.fresh(ctx); err == nil {
			_, err = selected.Attest(ctx, k.slot)
		}
	}
	if err != nil && app.Unanswered(err) {
		return false, nil
	}
	return err == nil, err
}

func (k *slotKey) explainUnlessEmpty(err error) error {
	if errors.Is(err, app.ErrEmpty) {
		return nil
	}
	return k.explain(err, "")
}

func (k *slotKey) Occupant(ctx context.Context) (*key.Occupant, error) {
	now, err := k.look(ctx)
	k.shown = now
	if err != nil || now.state == empty {
		return nil, k.explain(err, "")
	}
	o := &key.Occupant{
		Unknown: now.state == unknown, Algorithm: now.algorithm, Certified: now.certified,
		Touch: now.about.Touch > app.TouchNever, PINPolicy: policy(now.about.PIN), TouchPolicy: policy(now.about.Touch),
		Origin: origins[now.about.Origin],
	}
	if now.public != nil {
		o.Fingerprint = pubkey.Fingerprint(now.public)
	}
	return o, nil
}

// Origins of keys, as metadata tell them.
const (
	originGenerated = 1
	originImported  = 2
)

var origins = map[byte]string{originGenerated: "generated", originImported: "imported"}

// policy is a policy in words; empty where it is not told.
func policy[P interface {
	~byte
	String() string
}](p P) string {
	if p == 0 {
		return ""
	}
	return p.String()
}

// Public is what the card reports. Where it does not, it is what the user gave, or the key
// in the certificate; another one than the card's is refused. A card is not asked where the
// key is expected to be a certain one.
func (k *slotKey) Public(ctx context.Context) (crypto.PublicKey, error) {
	if k.access.Expected != nil {
		return k.access.Expected, nil
	}
	now, err := k.look(ctx)
	k.shown = now
	given := k.access.PublicKey
	switch {
	case err != nil:
		return nil, k.explain(err, "")
	case now.state == empty:
		return nil, k.explain(app.ErrEmpty, "")
	case now.public != nil && !now.certified && given != nil && !pubkey.Same(given, now.public):
		return nil, problem.New(problem.Mismatch, "%s: the given public key is not that of the key on the card", k.ref).
			Because("The key on the card is %s.", pubkey.Fingerprint(now.public)).Advise(advice.Repeat().Without(advice.PublicKey))
	case now.public != nil && (!now.certified || given == nil):
		return now.public, nil
	case given != nil:
		return given, nil
	}
	return nil, problem.New(problem.NotFound, "%s: the card does not report the public key", k.ref).
		Because("Such a card reports it only when the key is generated.").Advise(advice.Repeat(advice.Fill(advice.PublicKey)))
}

// Holder is what programs know the card by. OpenSC does not know the serial of a YubiKey,
// and gives the token that of the CHUID: reader and public key find it. YubiKeys sign
// digests that are shorter than the curve, where the standard has whole ones.
func (k *slotKey) Holder(ctx context.Context) (key.Holder, error) {
	yubico, err := k.yubico(ctx)
	if err != nil {
		return key.Holder{}, k.explain(err, "")
	}
	return key.Holder{Card: k.holder(), Place: k.slot.String(), Driver: openSCDriver, WholeDigests: !yubico}, nil
}

// openSCDriver is OpenSC's name for the driver of PIV cards.
const openSCDriver = "PIV-II"

// Certificate is read once.
func (k *slotKey) Certificate(ctx context.Context) ([]byte, error) {
	selected, err := k.fresh(ctx)
	if err != nil {
		return nil, err
	}
	if k.certificate == nil {
		der, err := selected.Certificate(ctx, k.slot)
		err = explain(err, k.ref.String()+": reading the certificate", "")
		if err != nil && key.Unreachable(ctx, err) {
			return nil, err
		}
		k.certificate = &stored{der, err}
	}
	return k.certificate.der, k.certificate.err
}

// certificateLength is that of Certificate if it was read, else as it is stored; 0 for
// none. An object in another order than the standard's is read wholly.
func (k *slotKey) certificateLength(ctx context.Context) (int, error) {
	selected, err := k.fresh(ctx)
	if err != nil {
		return 0, err
	}
	if k.certificate == nil {
		length, err := selected.CertificateLength(ctx, k.slot)
		if !errors.Is(err, app.ErrMalformed) {
			return length, err
		}
	}
	der, err := k.Certificate(ctx)
	return len(der), err
}

func (k *slotKey) ReadBackCertificate(ctx context.Context) ([]byte, error) {
	k.certificate = nil
	return k.Certificate(ctx)
}

// CertificateLimit is 0: no PIV card tells one.
func (k *slotKey) CertificateLimit(context.Context) (int, error) { return 0, nil }

// HoldsChain is false: an object has one certificate.
func (k *slotKey) HoldsChain() bool { return false }
