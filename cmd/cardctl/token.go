package main

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// appPKCS11 is the application of tokens that are reached through a module
// alone.
const appPKCS11 = "pkcs11"

// applicationFlags say which of a card's applications is meant, or which token.
type applicationFlags struct {
	app, token string
}

func (f *applicationFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.app, "app", "", "`application`, where the card holds more than one: openpgp, pkcs11")
	flags.StringVar(&f.token, "token", "", "PKCS#11 token: its `label` or its URI, with --app pkcs11")
}

// run does its work on the token that is meant, or else on the card, and tells
// which of the two it was, and where.
func (f *applicationFlags) run(ctx context.Context, env *Env, onCard func(context.Context, *card) error, onToken func(context.Context, *p11.Module, p11.URI) error) (kind, place string, err error) {
	isToken, uri, err := f.isToken(env)
	switch {
	case err != nil:
	case isToken:
		kind = "token"
		err = env.withModule(ctx, uri, func(ctx context.Context, m *p11.Module) error {
			place = m.Path()
			return onToken(ctx, m, uri)
		})
	default:
		kind = "card"
		err = env.withCard(ctx, func(ctx context.Context, c *card) error {
			place = c.Reader
			return onCard(ctx, c)
		})
	}
	return kind, place, err
}

// isToken says that a PKCS#11 token is meant, and which.
func (f *applicationFlags) isToken(env *Env) (bool, p11.URI, error) {
	f.app = strings.ToLower(f.app)
	switch {
	case f.app == "" && f.token == "":
		return false, p11.URI{}, nil
	case f.token == "" && f.app != appPKCS11:
		return false, p11.URI{}, nil
	case f.app != "" && f.app != appPKCS11:
		return false, p11.URI{}, problem.New(problem.Usage, "--token is for --app pkcs11").Because("--app is %s.", f.app)
	}
	uri := p11.URI{}
	if strings.HasPrefix(f.token, "pkcs11:") {
		var err error
		if uri, err = p11.ParseURI(f.token); err != nil {
			return true, uri, err
		}
	} else if f.token != "" {
		uri.Path = append(uri.Path, p11.Attribute{Name: p11.AttrToken, Value: f.token})
	}
	if _, told := uri.Get(p11.AttrSerial); !told && env.flags.serial != "" {
		uri.Path = append(uri.Path, p11.Attribute{Name: p11.AttrSerial, Value: env.flags.serial})
	}
	return true, uri, nil
}
