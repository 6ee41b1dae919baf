package applet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family/javacard"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// Lengths of LOAD command data in bytes where the card announces extended
// length without saying how much: long blocks first, then shorter ones, then
// short APDUs.
const (
	longBlock   = 4096
	mediumBlock = 2048
)

// Install loads a file onto the card that is meant, and installs applets from it.
// Everything is checked before the card is changed. What a failed step leaves on the
// card is removed again; where that fails too, the error says what is there. A plan
// is also returned with an error, once there was one.
func Install(ctx context.Context, d *desk.Desk, a desk.Access, o InstallOptions) (*Plan, error) {
	const what = "applet install"
	p, err := o.check()
	if err != nil {
		return nil, explain(err, what, "")
	}
	return p, withCard(ctx, d, a, o.Domain, func(ctx context.Context, c *card) error {
		p.Reader = c.at.Place
		w := &installation{card: c, o: &o, plan: p, state: unchanged}
		if o.File != nil {
			if p.Blocks, err = gp.FewestLoadBlocks(p.LoadSize, w.lengths()[0], o.Domain.level()); err != nil {
				return explain(err, what, "Nothing was sent to the card.")
			}
		}
		err := w.run(ctx)
		return explain(err, what, w.state)
	})
}

// installation is one run of Install.
type installation struct {
	*card
	o     *InstallOptions
	plan  *Plan
	state string // what is on the card now

	registry      // what was on the card
	looked   bool // the packages of the registry were read

	loaded    bool // the package is on the card, at least in part
	complete  bool // and the card confirmed it
	installed []gp.AID
	gone      []gp.AID // what was replaced and is deleted
}

func (w *installation) step(name string, sent int) {
	if w.o.Progress == nil {
		return
	}
	p := Progress{Step: name}
	if name == "loading" {
		p.Sent, p.Total = sent, w.plan.LoadSize
	}
	w.o.Progress(p)
}

func (w *installation) run(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.confirm(ctx, w.look); err != nil || w.o.DryRun {
		return err
	}
	if err := w.clear(ctx); err != nil {
		return err
	}
	err := w.upload(ctx)
	if err == nil {
		err = w.install(ctx)
	}
	if err == nil {
		w.step("checking", 0)
		err = w.verify(ctx)
	}
	if err != nil {
		return w.cleanUp(ctx, err)
	}
	w.state = ""
	return nil
}

// question asks whether what is in the way may be deleted. What is known to be
// scarce is said, because the card may refuse the new package when the old one is
// gone.
func (w *installation) question() wording {
	room := ""
	if m := w.plan.Memory; m != nil && m.NonVolatile < w.plan.LoadSize && !mostOf16Bits(m.NonVolatile) {
		room = fmt.Sprintf(" The new package needs %d bytes, and %d are free, so it fits only if this frees enough.", w.plan.LoadSize, m.NonVolatile)
	}
	what := aids(w.plan.Deletes)
	return func(card string) advice.Question {
		return advice.Question{
			Deed:    fmt.Sprintf("Delete %s, then install the package %s, on", what, w.plan.Package.AID),
			Subject: card, Lost: "The keys and data in them will be lost." + room,
		}
	}
}

// look compares the plan with the card, and words what has to be asked. One applet in
// short APDUs is so common that no command is sent which can be saved: that the
// package is there the applications tell that were installed from it, and else
// the card, which refuses INSTALL [for load] then. Nothing is asked where nothing
// is replaced.
func (w *installation) look(ctx context.Context) (question wording, err error) {
	if err := w.compare(ctx); err != nil {
		return nil, err
	}
	if w.o.DryRun || len(w.plan.Deletes) == 0 {
		return nil, nil
	}
	return w.question(), nil
}

// compare reads what is on the card and holds the plan against it.
func (w *installation) compare(ctx context.Context) (err error) {
	w.step("reading the card", 0)
	w.registry = registry{}
	w.plan.Domain = w.domain.AID()
	if err := w.fits(); err != nil {
		return err
	}
	if w.o.File == nil {
		return w.compareLoaded(ctx)
	}
	if err := w.readApplications(ctx, w.domain); err != nil {
		return err
	}
	_, told := w.instancesOf(w.plan.Package.AID)
	if w.o.DryRun || w.o.Replace || !told || w.commandToSpare() || !w.o.File.forPlatform() {
		if err := w.lookAtFiles(ctx); err != nil {
			return err
		}
	}
	if err := w.plan.compare(&w.registry, w.o.File, w.o.Replace); err != nil {
		return err
	}
	if err := w.runs(ctx); err != nil {
		return err
	}
	if w.plan.Blocks, err = w.domain.Session().LoadBlocks(w.plan.LoadSize, w.lengths()[0]); err != nil {
		return err
	}
	if w.o.DryRun || len(w.plan.Deletes) > 0 || w.commandToSpare() || !w.looked && w.domain.Reads() == 0 {
		return w.room(ctx)
	}
	return nil // the card says itself when it is full
}

// lookAtFiles reads which packages are on the card.
func (w *installation) lookAtFiles(ctx context.Context) (err error) {
	err = w.readFiles(ctx, w.domain)
	if err == nil && w.cut {
		err = w.lookUp(ctx, w.domain, w.plan.named(w.o.File)...)
	}
	w.looked = err == nil
	return err
}

// room compares what the card says of its memory.
func (w *installation) room(ctx context.Context) error {
	memory, err := w.domain.Resources(ctx)
	if errors.Is(err, gp.ErrNotTold) || errors.Is(err, gp.ErrMalformed) {
		return nil
	}
	if err != nil {
		return err
	}
	w.plan.Memory = &javacard.Memory{NonVolatile: memory.NonVolatile, Volatile: memory.Volatile}
	if len(w.plan.Deletes) == 0 && memory.NonVolatile < w.plan.LoadSize && !mostOf16Bits(memory.NonVolatile) {
		return problem.New(problem.Failed, "the card has no room for the package").
			Because("The package needs %d bytes, and %d are free.", w.plan.LoadSize, memory.NonVolatile).
			Advise(advice.Do(advice.ListApplets))
	}
	return nil
}

// mostOf16Bits tells a card that counts its memory in two bytes and has more.
func mostOf16Bits(n int) bool { return n == 0x7FFF || n == 0xFFFF }

// commandToSpare reports whether a command more does not show: of a library
// nothing is installed, of several applets many, and long blocks are few.
func (w *installation) commandToSpare() bool {
	return len(w.plan.Instances) != 1 || lengths(w.ch)[0] > mediumBlock
}

// lengths are the lengths of LOAD command data to try.
func (w *installation) lengths() []int {
	if w.o.BlockSize > 0 {
		return []int{w.o.BlockSize}
	}
	return lengths(w.ch)
}

// lengths are the lengths of LOAD command data to try, the greatest first.
func lengths(ch *iso7816.Channel) []int {
	most := gp.MaxCommandData(ch.Capabilities())
	switch {
	case most <= iso7816.MaxShortData:
		return []int{iso7816.MaxShortData}
	case most < iso7816.MaxExtendedData: // the card says how much
		return []int{most, iso7816.MaxShortData}
	}
	return []int{longBlock, mediumBlock, iso7816.MaxShortData}
}

// clear deletes what shall be replaced: at once where that is nothing but the
// package and all that was installed from it, and else one after the other.
func (w *installation) clear(ctx context.Context) error {
	instances, told := w.instancesOf(w.plan.Package.AID)
	if told && len(instances) > 0 && len(instances)+1 == len(w.plan.Deletes) {
		err := w.clearAtOnce(ctx)
		switch iso7816.StatusOf(err) {
		case iso7816.StatusWrongP1P2, iso7816.StatusFunctionNotSupported, iso7816.StatusWrongOffset: // not known to the card
		default:
			return err
		}
	}
	for _, aid := range w.plan.Deletes {
		w.step("deleting", 0)
		known, err := w.delete(ctx, w.plan.kindOf(aid), aid, false)
		if err != nil {
			if !known {
				w.state = problem.Sentences(deleted(w.gone), mayBeDeleted(aid))
			}
			return err
		}
		w.gone = append(w.gone, aid)
		w.state = deleted(w.gone)
	}
	return nil
}

// clearAtOnce deletes the package with its instances by one command, which a card
// refuses as a whole, as for a package that another one imports: the instances
// stay then. After an answer that leaves something open, what is not there any more
// is deleted.
func (w *installation) clearAtOnce(ctx context.Context) error {
	w.step("deleting", 0)
	err := w.domain.Delete(ctx, w.plan.Package.AID, true)
	if iso7816.Refused(err) {
		return err
	}
	w.gone = w.plan.Deletes
	if err != nil {
		left, looked := w.left(ctx)
		if looked != nil {
			w.gone, w.state = nil, mayBeDeleted(w.plan.Deletes...)
			return err
		}
		w.gone = slices.DeleteFunc(slices.Clone(w.plan.Deletes), func(aid gp.AID) bool { return find(left, aid) != nil })
		if len(w.gone) == 0 {
			return err
		}
	}
	w.state = deleted(w.gone)
	if len(w.gone) < len(w.plan.Deletes) {
		return err
	}
	return nil
}

// left is what is on the card now.
func (w *installation) left(ctx context.Context) ([]gp.Entry, error) {
	if err := w.reopen(ctx); err != nil {
		return nil, err
	}
	applications, err := w.domain.Status(ctx, gp.Application, nil)
	if err != nil {
		return nil, err
	}
	files, err := w.domain.Status(ctx, gp.LoadFile, nil)
	return append(applications, files...), err
}

// upload brings the package to the card, unless it is there.
func (w *installation) upload(ctx context.Context) error {
	if w.o.File == nil {
		return nil
	}
	return w.o.File.refused(w.signed(w.load(ctx)))
}

// load sends the package, with the longest blocks that the card takes.
func (w *installation) load(ctx context.Context) error {
	var err error
	for i, length := range w.lengths() {
		if i > 0 {
			// A card may announce more than it takes. What it saw of
			// the refused command is not known, so all begins anew.
			if err := w.reopen(ctx); err != nil {
				return err
			}
		}
		if err = w.loadIn(ctx, length); !tooLong(err) || length <= iso7816.MaxShortData {
			return err
		}
	}
	return err
}

// tooLong tells a card that does not take blocks of this length: it does not
// accept the first, and not for want of memory. An only block that was not plainly
// refused may have been loaded.
func tooLong(err error) bool {
	var load *gp.LoadError
	status := iso7816.StatusOf(err)
	return errors.As(err, &load) && load.Sent == 0 && status != 0 &&
		status != iso7816.StatusNoSpace && status != iso7816.StatusMemoryFailure &&
		(load.Blocks > 1 || iso7816.Refused(err))
}

func (w *installation) loadIn(ctx context.Context, length int) error {
	session := w.domain.Session()
	blocks, err := session.LoadBlocks(w.plan.LoadSize, length)
	if err != nil {
		return err
	}
	hash, err := w.hash(session.Protocol)
	if err != nil {
		return err
	}
	w.plan.Blocks = blocks
	w.step("loading", 0)
	file := w.o.File.LoadFile(w.o.Descriptor, w.o.Debug)
	if err := w.domain.InstallForLoad(ctx, w.plan.Package.AID, w.domain.AID(), hash, w.o.Memory); err != nil {
		return w.whyNotLoaded(ctx, err)
	}
	w.loaded = true
	err = w.domain.Load(ctx, file, gp.Blocks{Total: length}, func(sent int) { w.step("loading", sent) })
	w.complete = err == nil
	return err
}

// signed says of an upload that was refused that the card wants a signature.
func (w *installation) signed(refused error) error {
	status := iso7816.StatusOf(refused)
	if status == 0 || status == iso7816.StatusNoSpace || status == iso7816.StatusMemoryFailure {
		return refused
	}
	for _, e := range w.applications {
		if e.Privileges.Has(gp.MandatedDAPVerification) {
			p := problem.New(problem.NotSupported, "the card requires signed load files, and this one is not signed").
				Because("The security domain %s verifies a signature (DAP) of each load file; the card answered %04X.", e.AID, uint16(status))
			p.Cause = refused
			return p
		}
	}
	return refused
}

// whyNotLoaded looks for the package on a card that refused INSTALL [for load]:
// that is what it refuses it for.
func (w *installation) whyNotLoaded(ctx context.Context, refused error) error {
	if iso7816.StatusOf(refused) == 0 || w.looked || w.lookAtFiles(ctx) != nil {
		return refused
	}
	if err := w.plan.compare(&w.registry, w.o.File, w.o.Replace); err != nil {
		return err
	}
	return refused
}

// hash is the load file data block hash: where it is left to us, that of the
// time of the card's protocol.
func (w *installation) hash(p gp.Protocol) ([]byte, error) {
	algorithm := w.o.LoadHash
	switch {
	case algorithm == "":
		return nil, nil
	case algorithm == "auto" && p.SCP == 3:
		algorithm = "sha256"
	case algorithm == "auto":
		algorithm = "sha1"
	}
	return w.o.File.Hash(algorithm, w.o.Descriptor, w.o.Debug)
}

func (w *installation) install(ctx context.Context) error {
	for _, i := range w.plan.Instances {
		w.step("installing", 0)
		err := w.domain.InstallAndMakeSelectable(ctx, w.o.instance(w.plan.Package.AID, i))
		if !iso7816.Refused(err) { // what was refused is not ours to delete
			w.installed = append(w.installed, i.AID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verify reads back what was installed; of a library, that it is there.
func (w *installation) verify(ctx context.Context) error {
	kind, wanted := gp.Application, []gp.AID{}
	for _, i := range w.plan.Instances {
		wanted = append(wanted, i.AID)
	}
	if len(wanted) == 0 {
		kind, wanted = gp.LoadFile, []gp.AID{w.plan.Package.AID}
	}
	var filter gp.AID
	if len(wanted) == 1 {
		filter = wanted[0]
	}
	now := registry{}
	entries, err := now.read(ctx, w.domain, kind, filter)
	if err != nil {
		return err
	}
	for _, aid := range wanted {
		e := find(entries, aid)
		if e == nil && now.cut {
			one, err := w.domain.Status(ctx, kind, aid)
			if e = find(one, aid); e == nil && err != nil {
				return err
			}
		}
		if e == nil {
			return problem.New(problem.Failed, "the card confirmed the installation and does not have %s", aid).Advise(advice.Do(advice.ListApplets))
		}
		if kind == gp.Application && e.LifeCycle&0x07 != gp.ApplicationSelectable {
			return problem.New(problem.Failed, "%s is on the card and cannot be selected", aid).
				Because("The state of the application is %s.", e.State()).Advise(advice.Do(advice.ListApplets))
		}
	}
	return nil
}
