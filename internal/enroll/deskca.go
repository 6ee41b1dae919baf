package enroll

import (
	"context"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/csr"
)

// deskCA is a CA in a directory of this machine.
type deskCA struct {
	directory, profile string
	onCard             bool
	order              ca.Order
	own                *cert.Certificate
}

func openDesk(a Address) (Issuer, error) {
	return &deskCA{directory: a.Path, profile: a.Query.Get("profile")}, nil
}

// DeskCA is the directory of an issuer that is a CA of this machine; empty for another one.
func DeskCA(address string) (directory string, err error) {
	issuer, err := Open(address)
	if own, is := issuer.(*deskCA); is {
		return own.directory, nil
	}
	return "", err
}

// Lasting has the directory, and the file of a profile, from the root on.
func (i *deskCA) Lasting() (string, error) {
	directory, err := filepath.Abs(i.directory)
	if err != nil || i.profile == "" {
		return "ca:" + directory, err
	}
	profile := i.profile
	if !slices.Contains(ca.ProfileNames(), profile) {
		profile, err = filepath.Abs(profile)
	}
	return "ca:" + directory + "?profile=" + url.QueryEscape(profile), err
}

func (i *deskCA) Traits() Traits {
	return Traits{PublicKeys: true, Away: i.onCard, Reissues: true}
}

func (i *deskCA) Prepare(ctx context.Context, o *Order) (err error) {
	about, err := ca.About(ctx, i.directory)
	if err != nil {
		return err
	}
	i.onCard, i.own = about.OnCard, about.Certificate
	i.order = ca.Order{Names: csr.Options{UPNs: o.Names.UPNs}, SID: o.SID, Days: o.Days}
	if i.profile == "" && o.Renewal {
		return nil // that of the certificate
	}
	i.order.Profile, err = ca.ReadProfile(ctx, i.profile)
	if err != nil || o.Renewal {
		return err
	}
	return i.order.Check()
}

func (i *deskCA) Issue(ctx context.Context, o *Order) (Answer, error) {
	der, dropped, err := i.issued(ctx, o)
	if err != nil {
		return Answer{}, err
	}
	made, err := cert.Parse(der)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Certificates: []*cert.Certificate{made, i.own}, Roots: []*cert.Certificate{i.own}, Dropped: dropped}, nil
}

// issued is the certificate that the CA issued for the same order before, without anybody to
// take it, or else a new one.
func (i *deskCA) issued(ctx context.Context, o *Order) (der []byte, dropped []string, err error) {
	if !o.Asked.IsZero() {
		if der, err = ca.IssuedSince(ctx, i.directory, o.PublicKey, o.Asked, o.Current, o.Now()); err != nil || der != nil {
			return der, nil, err
		}
	}
	switch {
	case o.Renewal && o.PKCS10 == nil:
		if i.order.Again, err = cert.ParseStored(o.Current); err != nil {
			return nil, nil, err
		}
		i.order.PublicKey = o.PublicKey
	case o.PKCS10 == nil:
		i.order.PublicKey, i.order.Names = o.PublicKey, o.Names
	default:
		if i.order.Request, err = csr.Read(o.PKCS10); err != nil {
			return nil, nil, err
		}
	}
	issuer := ca.Parent{Directory: i.directory, Desk: o.IssuerDesk, Access: o.Access}
	made, err := o.Sittings.Issue(ctx, issuer, i.order, o.Now())
	return made.DER, made.Dropped, err
}
