package pkcs15

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func (d openSC) status(ctx context.Context) (Status, error) {
	s, err := d.card.structure(ctx)
	if err != nil || s.Directory == nil || s.Directory.SOPIN() == nil {
		return s, err
	}
	officer := *s.Directory.SOPIN()
	officer.TriesLeft, err = d.card.Tries(ctx, officer)
	s.Erasing = &officer
	return s, err
}

func (d openSC) erasable(context.Context, Status) error { return nil }

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

// create initialises a card of another kind as OpenSC's profile for it
// says: one run erases, one creates, and one stores the PIN, for the label of the
// card and that of the PIN are the same option. --erase-card asks for an SO PIN at
// a terminal, whatever it is told; --erase-application does not.
func (d openSC) create(ctx context.Context, s Status, f First, progress func(state string)) error {
	name, err := d.card.tool(ctx, call{program: "opensc-tool", args: []string{"--name"}})
	if err != nil {
		return d.card.explain(err, "asking OpenSC for the kind of card")
	}
	d.card.name = printable([]byte(strings.TrimSpace(string(name))))
	kind := profileOf(d.card.name)
	d.card.listed = nil // it gets another serial
	if err := d.erase(ctx, s, f, kind); err != nil {
		return err
	}
	progress("The card may be erased." + toFinish)
	create := call{program: "pkcs15-init", args: []string{"--create-pkcs15", "--label", f.Label, "--serial", f.Serial}, serial: f.Serial}
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
	if _, err := d.card.tool(ctx, create); err != nil {
		return d.card.judge(ctx, err, PIN{SO: true, TriesLeft: -1}, "creating the PKCS#15 structure")
	}
	progress("The card is erased but has no user PIN yet." + toFinish)
	p := d.facts().pin
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
	_, err = d.card.tool(ctx, store)
	return d.card.judge(ctx, err, p, "storing the user PIN")
}

// erase erases a card where there is something on it, and one whose
// erasing says who may erase it next. pkcs15-init does nothing else in that run.
func (d openSC) erase(ctx context.Context, s Status, f First, kind profile) error {
	switch {
	case s.Erasing != nil:
		_, err := d.card.tool(ctx, call{
			program: "pkcs15-init", args: []string{"--erase-application", hex.EncodeToString(pkcs15AID())},
			secrets: []handover{{"--so-pin", f.Current}}, serial: f.Serial,
		})
		return d.card.judge(ctx, err, *s.Erasing, "erasing the card")
	case s.Structure, kind.finalize:
		_, err := d.card.tool(ctx, call{program: "pkcs15-init", args: []string{"--erase-card"}, serial: f.Serial})
		return d.card.judge(ctx, err, PIN{TriesLeft: -1}, "erasing the card")
	}
	return nil
}

func (d openSC) check(_ context.Context, found *Directory, _ First) error {
	if found.UserPIN() == nil {
		return withoutPIN()
	}
	if len(found.Keys) > 0 || len(found.Certificates) > 0 {
		return problem.New(problem.Failed, "the card was erased but still has objects on it")
	}
	return nil
}

func withoutPIN() error {
	return problem.New(problem.Failed, "pkcs15-init reported success, but the card has no user PIN").
		Advise(advice.Repeat())
}
