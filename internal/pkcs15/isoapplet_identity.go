package pkcs15

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// identity is what EF.TokenInfo says: the applet has no serial of its own.
func (d isoApplet) identity(ctx context.Context, ch *iso7816.Channel) (Identity, error) {
	known := d.card.directory
	if d.native.ch == ch && known != nil && known.named {
		return appletIdentity(known), nil
	}
	d.native.use(ch)
	none := known == nil
	if d.card.identity != nil {
		none = d.card.identity.Serial == "" && d.card.serial == ""
	}
	found, err := d.native.lookAtToken(ctx, none)
	if err != nil {
		return Identity{}, err
	}
	d.native.token = found
	return appletIdentity(found), nil
}

func appletIdentity(d *Directory) Identity {
	return Identity{Kind: "IsoApplet", Serial: d.Serial, Label: d.Label}
}

// lookAtToken reads label and serial. OpenSC leaves the application DF selected,
// which is tried first unless there is probably none; without a structure, or with
// that of an interrupted init, there are none.
func (a *applet) lookAtToken(ctx context.Context, probablyNone bool) (*Directory, error) {
	found := &Directory{}
	if !probablyNone {
		if ok, err := a.readToken(ctx, found); ok || err != nil {
			return found, err
		}
	}
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	err := a.selectApplication(ctx)
	if iso7816.StatusOf(err) == iso7816.StatusFileNotFound {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = a.readToken(ctx, found)
	return found, err
}

// readToken reads EF.TokenInfo where the application DF is selected.
func (a *applet) readToken(ctx context.Context, found *Directory) (bool, error) {
	raw, err := a.readShort(ctx, path(fileApplication, fileTokenInfo), iso7816.MaxShortNe)
	if err != nil {
		if iso7816.StatusOf(err) == 0 {
			return false, err
		}
		return false, nil
	}
	if parseTokenInfo(raw, found) != nil {
		*found = Directory{}
		return false, nil
	}
	a.fresh, a.inside = false, true
	return true, nil
}

// tokenInfo is what identity read, if there was need of that.
func (a *applet) tokenInfo(ctx context.Context, d *Directory) error {
	if a.token == nil || a.token.Serial == "" {
		return a.files.tokenInfo(ctx, d)
	}
	d.Label, d.Serial, d.Manufacturer, d.named = a.token.Label, a.token.Serial, a.token.Manufacturer, true
	return nil
}

// use forgets what was read on another channel.
func (a *applet) use(ch *iso7816.Channel) {
	if ch != a.ch {
		a.token = nil
	}
	a.files.use(ch)
}
