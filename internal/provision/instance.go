package provision

import (
	"context"
	"crypto/rand"
	"encoding/binary"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/problem"
)

// ownSerials gives the instances of an applet whose AID has the serial of the card one that no
// card of the ledger has, unless the plan says which.
func (w *work) ownSerials(ctx context.Context, o *applet.InstallOptions) error {
	f := w.kind.family
	if f.InstanceSerial == nil || o.LoadOnly {
		return nil
	}
	applets := o.Applets
	if o.File != nil && len(applets) == 0 && len(o.File.Applets) == 1 {
		applets = o.File.Applets
	}
	for i, aid := range applets {
		if i < len(o.Instances) {
			if err := w.unusedSerial(ctx, f.InstanceSerial(o.Instances[i])); err != nil {
				return err
			}
			continue
		}
		for f.InstanceSerial(aid) != "" {
			aid = f.WithNumber(aid, someNumber())
			c, err := w.run.o.Ledger.Card(ctx, f.InstanceSerial(aid))
			if err != nil {
				return err
			}
			if c == nil {
				break
			}
		}
		o.Instances = append(o.Instances, aid)
	}
	return nil
}

// unusedSerial refuses a serial that another card has.
func (w *work) unusedSerial(ctx context.Context, serial string) error {
	if serial == "" || serial == w.serial {
		return nil
	}
	c, err := w.run.o.Ledger.Card(ctx, serial)
	if err == nil && c != nil {
		err = w.refused("its applet would have the serial "+serial, "The ledger has another card with that serial. Give each card an AID of its own: applet.instance, with a column.")
	}
	return err
}

// someNumber is a serial number; 0 is what the files of applets have.
func someNumber() uint32 {
	var b [4]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if n := binary.BigEndian.Uint32(b[:]); n != 0 && n != 0xFFFFFFFF {
			return n
		}
	}
}

// instancesDiffer refuses rows whose cards would get one serial.
func (r *run) instancesDiffer() error {
	if r.o.Plan.Applet == nil || r.kinds[0].family.InstanceSerial == nil {
		return nil
	}
	first := map[string]*wantedRow{}
	for i := range r.rows {
		row := &r.rows[i]
		o, err := applet.InstallWish{Instances: row.plan.Applet.Instances}.Parse()
		if err != nil {
			return problem.Wrap(problem.Usage, err, row.Place())
		}
		for _, aid := range o.Instances {
			serial := r.kinds[0].family.InstanceSerial(aid)
			if other := first[serial]; other != nil && serial != "" {
				return problem.New(problem.Usage, "%s: the applet would have the serial of that of %s", row.Place(), other.Place()).
					Because("Both have the AID %s. Without applet.instance each card gets a serial of its own. With it, a column gives each another AID, such as D276000124010304AFAF{{.number}}0000.", aid)
			}
			first[serial] = row
		}
	}
	return nil
}
