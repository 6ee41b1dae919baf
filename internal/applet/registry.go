package applet

import (
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/gp"
)

// registry is what is on the card, as far as it tells.
type registry struct {
	files, applications []gp.Entry

	// cut says that a list of the card was cut off: more may be on it.
	cut bool
}

// read reads one part of the registry, or of it what begins with filter. It notes
// where the list is cut off.
func (r *registry) read(ctx context.Context, d *gp.SecurityDomain, kind gp.Kind, filter gp.AID) ([]gp.Entry, error) {
	entries, err := d.Status(ctx, kind, filter)
	if errors.Is(err, gp.ErrIncomplete) {
		r.cut = true
		return entries, nil
	}
	return entries, err
}

// readApplications and readFiles read the two parts.
func (r *registry) readApplications(ctx context.Context, d *gp.SecurityDomain) (err error) {
	r.applications, err = r.read(ctx, d, gp.Application, nil)
	return err
}

func (r *registry) readFiles(ctx context.Context, d *gp.SecurityDomain) (err error) {
	r.files, err = r.read(ctx, d, gp.LoadFile, nil)
	return err
}

// lookUp asks the card for single AIDs, because its lists are cut off. Most cards
// answer to that with what would stand behind the cut.
func (r *registry) lookUp(ctx context.Context, d *gp.SecurityDomain, aids ...gp.AID) error {
	for _, aid := range aids {
		for kind, list := range map[gp.Kind]*[]gp.Entry{gp.Application: &r.applications, gp.LoadFile: &r.files} {
			entries, err := r.read(ctx, d, kind, aid)
			if err != nil {
				return err
			}
			if found := find(entries, aid); found != nil && find(*list, aid) == nil {
				*list = append(slices.Clone(*list), *found)
			}
		}
	}
	return nil
}

func find(entries []gp.Entry, aid gp.AID) *gp.Entry {
	for i := range entries {
		if entries[i].AID.Equal(aid) {
			return &entries[i]
		}
	}
	return nil
}

// instancesOf are the applications that were installed from a package, as far
// as the card tells, and whether it tells all of them.
func (r *registry) instancesOf(file gp.AID) (instances []gp.AID, told bool) {
	told = !r.cut
	for _, e := range r.applications {
		switch {
		case e.File.Equal(file):
			instances = append(instances, e.AID)
		case e.File == nil && !e.SecurityDomain():
			told = false
		}
	}
	return instances, told
}
