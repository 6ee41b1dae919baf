package applet

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/family/javacard"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// InstallOptions is what Install shall do.
type InstallOptions struct {
	Domain Domain
	File   *File

	// Applets are the applets to install, and Instances the AIDs that they
	// get; where there are fewer instances, the others get the AID of
	// their applet. No applet means the only one of the file.
	Applets, Instances []gp.AID

	// Package is a package on the card, to install a further instance of one of its
	// applets. There is no File then.
	Package gp.AID

	// LoadOnly loads the file and installs nothing from it.
	LoadOnly bool

	// Parameters are the applet's own install parameters, and RawParameters the
	// whole install parameters field, in the place of those and of the memory
	// limits; nil for not.
	Parameters, RawParameters []byte
	Privileges                gp.Privileges
	Memory                    gp.Memory

	// BlockSize is how many bytes of data a LOAD command has at most, with its MAC;
	// 0 for as many as the card takes.
	BlockSize int

	// LoadHash is "sha1" or "sha256" to send the hash of the load file, or
	// "auto" for the one that the card's protocol is used with; "" for none.
	LoadHash string

	// Descriptor and Debug load these components too.
	Descriptor, Debug bool

	// Replace deletes the package, and what was installed from it, first.
	Replace bool

	// DryRun checks everything, also on the card, and changes nothing.
	DryRun bool

	// Progress, if it is there, is told how the work goes on.
	Progress func(Progress)
}

// Progress is where the work is.
type Progress struct {
	// Step says what is being done: "loading".
	Step string
	// Sent of Total bytes have arrived; both are 0 where nothing is sent.
	Sent, Total int
}

// Plan is what an installation will do, or did.
type Plan struct {
	Reader    string           `json:"reader"`
	Package   Package          `json:"package"`
	Instances []InstancePlan   `json:"instances"`
	Deletes   []gp.AID         `json:"deletes"` // before the package is loaded
	LoadOnly  bool             `json:"loadOnly,omitempty"`
	LoadSize  int              `json:"loadSize"`
	Blocks    int              `json:"blocks"`
	Domain    gp.AID           `json:"domain,omitempty"`
	Memory    *javacard.Memory `json:"memory,omitempty"`
	DryRun    bool             `json:"dryRun"`
}

// InstancePlan is one application to install.
type InstancePlan struct {
	Applet     gp.AID   `json:"applet"`
	AID        gp.AID   `json:"aid"`
	Privileges []string `json:"privileges"`
}

// check looks at everything that can be wrong without a card.
func (o *InstallOptions) check() (*Plan, error) {
	if err := o.agree(); err != nil {
		return nil, err
	}
	if o.File == nil {
		p := &Plan{Package: Package{AID: o.Package}, Deletes: []gp.AID{}, Instances: []InstancePlan{}, DryRun: o.DryRun}
		return p, p.instances(o)
	}
	if len(o.Applets) == 0 && !o.LoadOnly {
		switch len(o.File.Applets) {
		case 0:
		case 1:
			o.Applets = o.File.Applets
		default:
			return nil, problem.New(problem.Usage, "the file has %d applets", len(o.File.Applets)).
				Because("Applets: %s.", aids(o.File.Applets)).
				Advise(advice.Repeat(advice.Set(advice.Applet, o.File.Applets[0].String())))
		}
	}
	p := &Plan{Package: o.File.Package, Deletes: []gp.AID{}, Instances: []InstancePlan{}, DryRun: o.DryRun, LoadOnly: o.LoadOnly}
	for _, applet := range o.Applets {
		if !o.File.hasApplet(applet) {
			return nil, problem.New(problem.Mismatch, "the file has no applet %s", applet).
				Because("%s", o.File.listed()).Advise(advice.Repeat().Without(advice.Applet))
		}
	}
	if err := p.instances(o); err != nil {
		return nil, err
	}
	if o.LoadHash != "" && o.LoadHash != "auto" {
		if _, err := o.File.Hash(o.LoadHash, o.Descriptor, o.Debug); err != nil {
			return nil, err
		}
	}
	p.LoadSize = len(o.File.LoadFile(o.Descriptor, o.Debug))
	return p, nil
}

// agree looks at options that exclude each other.
func (o *InstallOptions) agree() error {
	exclude := func(first, second string, field advice.Field) error {
		return problem.New(problem.Usage, "%s cannot be combined with %s", first, second).Advise(advice.Repeat().Without(field))
	}
	switch {
	case o.RawParameters != nil && len(o.Parameters) > 0:
		return bothParameters()
	case o.RawParameters != nil && (o.Memory.Data > 0 || o.Memory.Volatile > 0):
		return exclude("the whole install parameters field", "memory limits for data", advice.RawParameters)
	case o.LoadOnly && (len(o.Applets) > 0 || len(o.Instances) > 0 || len(o.Parameters) > 0 || o.RawParameters != nil || o.Privileges != 0):
		return problem.New(problem.Usage, "nothing is installed from a file that is only loaded").
			Because("Applets, instances, parameters and privileges are for applications.").Advise(advice.Repeat().Without(advice.LoadOnly))
	case o.BlockSize != 0 && (o.BlockSize < minBlock || o.BlockSize > iso7816.MaxExtendedData):
		return problem.New(problem.Usage, "blocks of %d bytes are not possible", o.BlockSize).
			Because("A block has %d to %d bytes.", minBlock, iso7816.MaxExtendedData).Advise(advice.Repeat().Without(advice.BlockSize))
	case o.File != nil:
		return nil
	case o.LoadOnly || o.Replace || o.LoadHash != "" || o.BlockSize != 0 || o.Memory.Code > 0:
		return problem.New(problem.Usage, "nothing is loaded for a further instance").
			Because("The package %s has to be on the card.", o.Package).Advise(advice.Repeat().Without(advice.Package))
	case len(o.Applets) == 0:
		return problem.New(problem.Usage, "no applet of the package is named").Advise(advice.Repeat(advice.Fill(advice.Applet)))
	}
	return nil
}

// bothParameters is for who gives a part of the install parameters and the whole.
func bothParameters() error {
	return problem.New(problem.Usage, "the whole install parameters field cannot be combined with parameters for it").
		Advise(advice.Repeat().Without(advice.RawParameters))
}

// minBlock is the least length of a block in bytes: beside a MAC and the padding of
// a block, it still has room for data.
const minBlock = 48

// instance is what INSTALL [for install] has of one application.
func (o *InstallOptions) instance(file gp.AID, i InstancePlan) gp.Instance {
	parameters := o.RawParameters
	if parameters == nil {
		parameters = gp.InstallParameters(o.Parameters, gp.Memory{Data: o.Memory.Data, Volatile: o.Memory.Volatile}, nil)
	}
	return gp.Instance{File: file, Module: i.Applet, AID: i.AID, Privileges: o.Privileges, Parameters: parameters}
}

// instances plans the applications.
func (p *Plan) instances(o *InstallOptions) error {
	if len(o.Instances) > len(o.Applets) {
		return problem.New(problem.Usage, "%d instance AIDs for %d applets", len(o.Instances), len(o.Applets)).
			Because("Each applet to install gets at most one.").Advise(advice.Repeat().Without(advice.Instance))
	}
	for i, applet := range o.Applets {
		instance := InstancePlan{Applet: applet, AID: applet, Privileges: o.Privileges.Names()}
		if i < len(o.Instances) {
			instance.AID = o.Instances[i]
		}
		if err := instance.AID.Check(); err != nil {
			return problem.Wrap(problem.Usage, err, "the instance AID is not valid")
		}
		if slices.ContainsFunc(p.Instances, func(q InstancePlan) bool { return q.AID.Equal(instance.AID) }) {
			return problem.New(problem.Usage, "two instances would have the AID %s", instance.AID).
				Because("On a card, every AID is unique.").Advise(advice.Repeat().Without(advice.Instance))
		}
		if instance.AID.Equal(p.Package.AID) {
			return problem.New(problem.Usage, "the instance would have the AID of its package, %s", instance.AID).
				Because("On a card, every AID is unique.").Advise(advice.Repeat().Without(advice.Instance))
		}
		p.Instances = append(p.Instances, instance)
	}
	return nil
}

// forPlatform reports whether the package imports nothing but what cards have
// without listing it.
func (f *File) forPlatform() bool {
	return !slices.ContainsFunc(f.Imports, func(p Package) bool { return !platform(p.AID) })
}

// named are the AIDs that the plan is about: those that it brings to the card, and
// of its imports those that a card lists.
func (p *Plan) named(f *File) []gp.AID {
	list := []gp.AID{p.Package.AID}
	for _, i := range p.Instances {
		list = append(list, i.AID)
	}
	for _, i := range f.Imports {
		if !platform(i.AID) {
			list = append(list, i.AID)
		}
	}
	return list
}

// kindOf is where the card lists something that the plan is about.
func (p *Plan) kindOf(aid gp.AID) gp.Kind {
	if aid.Equal(p.Package.AID) {
		return gp.LoadFile
	}
	return gp.Application
}

// compare holds the plan against what is on the card.
func (p *Plan) compare(r *registry, f *File, replace bool) error {
	p.Deletes = []gp.AID{}
	for _, missing := range f.Imports {
		there := find(r.files, missing.AID)
		if there == nil && platform(missing.AID) {
			continue // cards have these without listing them
		}
		if there == nil {
			return problem.New(problem.NotFound, "the package imports %s %s, which the card does not have", missing.AID, missing.Version).
				Because("That package must be installed first.").Advise(advice.Do(advice.ListApplets))
		}
		if v := there.Version; len(v) == 2 && (v[0] != missing.Version.Major || v[1] < missing.Version.Minor) {
			return problem.New(problem.Mismatch, "the package imports %s %s, and the card has %d.%d", missing.AID, missing.Version, v[0], v[1]).
				Advise(advice.Do(advice.ListApplets))
		}
	}
	belongs, _ := r.instancesOf(p.Package.AID)
	if len(belongs) > 0 || find(r.files, p.Package.AID) != nil {
		if !replace {
			return p.inTheWay(belongs)
		}
		if r.cut {
			return problem.New(problem.Refused, "the card does not report everything that replacing the package would delete").
				Because("The card's list is cut off, and what it leaves out may belong to the package %s.", p.Package.AID).
				Advise(advice.Do(advice.ListApplets))
		}
		p.Deletes = append(append(p.Deletes, belongs...), p.Package.AID)
	}
	for _, i := range p.Instances {
		there := find(r.applications, i.AID)
		if there == nil || slices.ContainsFunc(belongs, i.AID.Equal) {
			continue
		}
		if there.File == nil && replace && len(p.Deletes) > 0 {
			// The card does not tell what it was installed from; the
			// package that goes away may be it, and its deletion
			// then needs this one gone.
			p.Deletes = append([]gp.AID{i.AID}, p.Deletes...)
			continue
		}
		why := "The card does not report which package that application was installed from."
		if there.File != nil {
			why = fmt.Sprintf("That application was installed from the package %s.", there.File)
		}
		next := advice.Do(advice.ListApplets)
		if len(p.Instances) == 1 {
			next = advice.Repeat(advice.Fill(advice.Instance))
		}
		return problem.New(problem.Refused, "an application %s is already on the card", i.AID).Because("%s", why).Advise(next)
	}
	if e := find(r.applications, p.Package.AID); e != nil {
		return problem.New(problem.Refused, "an application on the card has the AID of the package, %s", p.Package.AID).
			Advise(advice.Do(advice.ListApplets))
	}
	return nil
}

// ErrOnlyLoaded is the cause where a package is on the card, and nothing was installed from
// it: an installation was interrupted.
var ErrOnlyLoaded = errors.New("nothing is installed from the package")

// inTheWay is a package that is on the card already. It may be replaced only where
// that deletes nothing that was not named.
func (p *Plan) inTheWay(belongs []gp.AID) error {
	in := problem.New(problem.Refused, "the package %s is already on the card", p.Package.AID).Advise(advice.Do(advice.ListApplets))
	if len(belongs) == 0 {
		in.Cause = ErrOnlyLoaded
		return in.Because("No applications were installed from it.").AllowedBy(advice.Switch(advice.Replace))
	}
	others := slices.DeleteFunc(slices.Clone(belongs), func(aid gp.AID) bool {
		return slices.ContainsFunc(p.Instances, func(i InstancePlan) bool { return i.AID.Equal(aid) })
	})
	if len(others) == 0 {
		return in.Because("Applications installed from it: %s.", aids(belongs)).AllowedBy(advice.Switch(advice.Replace))
	}
	return in.Because("Applications installed from it: %s. Replacing the package would delete %s too, with the keys and data in it.", aids(belongs), aids(others))
}

func aids(list []gp.AID) string {
	texts := make([]string, len(list))
	for i, aid := range list {
		texts[i] = aid.String()
	}
	return strings.Join(texts, ", ")
}
