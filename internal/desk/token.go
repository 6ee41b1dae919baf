package desk

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/p11"
)

// DefaultModule is the PKCS#11 module that is used where none is named.
const DefaultModule = "opensc"

// OpenToken opens a line to the token that a URI names, through the module that
// Selection names, else the URI. place is what the user calls it, empty for the
// module's file.
func (d *Desk) OpenToken(ctx context.Context, uri p11.URI, place string) (*Line, error) {
	m, err := d.Modules.Load(ctx, cmp.Or(d.Meant.Module, uri.Module(), DefaultModule), "")
	if err != nil {
		return nil, err
	}
	d.Tell("using the module %s", m.Path())
	return &Line{desk: d, reader: m.Path(), token: place, module: m, uri: uri}, nil
}

// TokenURI is the token that Selection names, the zero URI where any is meant.
func (d *Desk) TokenURI() (p11.URI, error) {
	uri := p11.URI{}
	if p11.IsURI(d.Meant.Token) {
		var err error
		if uri, err = p11.ParseURI(d.Meant.Token); err != nil {
			return uri, err
		}
	} else if d.Meant.Token != "" {
		uri.Path = append(uri.Path, p11.Attribute{Name: p11.AttrToken, Value: d.Meant.Token})
	}
	if _, told := uri.Get(p11.AttrSerial); !told && d.Meant.Serial != "" {
		uri.Path = append(uri.Path, p11.Attribute{Name: p11.AttrSerial, Value: d.Meant.Serial})
	}
	return uri, nil
}

// MeansToken reports whether a token is meant although no application is
// named: whoever types a module, and no reader, means what the module shows.
func (s *Selection) MeansToken() bool { return s.Token != "" || s.ModuleTyped && !s.ReaderTyped }

// Application is --app in lower case. A token counts more than an application that
// only a variable names.
func (s *Selection) Application() string {
	if s.Token != "" && !s.AppTyped {
		return ""
	}
	return strings.ToLower(s.App)
}

// HasToken reports whether the module of Selection shows an initialised token that is
// called so.
func (d *Desk) HasToken(ctx context.Context, label string) (bool, error) {
	called, err := d.token(ctx, p11.AttrToken, func(has string) bool { return has == label })
	return called != nil, err
}

// TokenSerial is the serial of a token that the module of Selection shows, as the token has
// it; empty if there is none with that serial, in whatever case it is written.
func (d *Desk) TokenSerial(ctx context.Context, serial string) (string, error) {
	uri, err := d.token(ctx, p11.AttrSerial, func(has string) bool { return strings.EqualFold(has, serial) })
	if uri == nil {
		return "", err
	}
	own, _ := uri.Get(p11.AttrSerial)
	return own, err
}

// token is the URI of the first token of Tokens with such an attribute; nil for none.
func (d *Desk) token(ctx context.Context, attribute string, is func(string) bool) (*p11.URI, error) {
	tokens, err := d.Tokens(ctx)
	for _, token := range tokens {
		uri, err := p11.ParseURI(token)
		if err != nil {
			return nil, err
		}
		if has, _ := uri.Get(attribute); is(has) {
			return &uri, nil
		}
	}
	return nil, err
}

// Tokens are the URIs of the initialised tokens that the module of Selection shows.
func (d *Desk) Tokens(ctx context.Context) ([]string, error) {
	m, err := d.Modules.Load(ctx, cmp.Or(d.Meant.Module, DefaultModule), "")
	if err != nil {
		return nil, err
	}
	tokens, err := m.States(ctx)
	var uris []string
	for _, t := range tokens {
		if t.Initialized { // the name of one that is not means any
			uris = append(uris, t.URI)
		}
	}
	return uris, errors.Join(err, m.Close())
}
