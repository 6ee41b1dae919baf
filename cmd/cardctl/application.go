package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
)

// appPKCS11 is the application of tokens that are reached through a module
// alone.
const appPKCS11 = "pkcs11"

const appPKCS15 = "pkcs15"

// applicationFlags say which of a card's applications is meant, or which token.
type applicationFlags struct {
	app, token string
	// takes are the applications that the command can work on.
	takes []string
	// reads says that the command changes nothing.
	reads bool
}

func (f *applicationFlags) add(flags *pflag.FlagSet) {
	f.takes = []string{"openpgp", appPKCS15, appPKCS11}
	flags.StringVar(&f.app, "app", "", "`application`, where the card holds more than one: openpgp, pkcs15, pkcs11")
	flags.StringVar(&f.token, "token", "", "PKCS#11 token: its `label` or its URI")
}

// works is what a command does with each kind of thing that it may find.
type works struct {
	onCard   func(context.Context, *card) error
	onPKCS15 func(context.Context, *pkcs15.Card) error
	onToken  func(context.Context, *p11.Module, p11.URI) error
}

// run does the work on the token or the application that is meant, and tells
// whether that was a token or a card, and where.
func (f *applicationFlags) run(ctx context.Context, env *Env, w works) (kind, place string, err error) {
	isToken, uri, err := f.isToken(env)
	switch {
	case err != nil:
		return "", "", err
	case isToken:
		err = env.withModule(ctx, uri, func(ctx context.Context, m *p11.Module) error {
			place = m.Path()
			return w.onToken(ctx, m, uri)
		})
		return "token", place, err
	case f.app != appPKCS15:
		err = env.withCard(ctx, func(ctx context.Context, c *card) error {
			place = c.Reader
			return w.onCard(ctx, c)
		})
		if f.app == "" && f.reads && place == "" && env.flags.module != "" && env.flags.reader == "" && problem.Is(err, problem.NotFound) {
			// No card, but a module in the environment.
			f.app = appPKCS11
			if kind, place, tokenErr := f.run(ctx, env, w); tokenErr == nil {
				return kind, place, nil
			}
			return "card", "", err
		}
		if f.app != "" || !key.LacksOpenPGP(err) {
			return "card", place, err
		}
	}
	lacking := err
	err = env.withPKCS15(ctx, func(ctx context.Context, c *pkcs15.Card, reader string) error {
		if lacking != nil && !c.Known() {
			return lacking // whether it is a PKCS#15 card would take OpenSC to know
		}
		place = reader
		return w.onPKCS15(ctx, c)
	})
	return "card", place, err
}

// check refuses applications that the command would not find: it would work on
// another one.
func (f *applicationFlags) check() error {
	names := strings.Join(f.takes, ", ")
	switch {
	case f.app == "" || slices.Contains(f.takes, f.app):
		return nil
	case slices.Contains([]string{"piv", "muscle", "gp"}, f.app):
		return problem.New(problem.NotSupported, "--app %s is not supported here", f.app).Because("There are %s.", names)
	}
	return problem.New(problem.Usage, "there is no application %q", f.app).Because("There are %s.", names)
}

// isToken says that a PKCS#11 token is meant, and which.
func (f *applicationFlags) isToken(env *Env) (bool, p11.URI, error) {
	f.app = strings.ToLower(f.app)
	if err := f.check(); err != nil {
		return false, p11.URI{}, err
	}
	switch {
	case f.app == "" && f.token == "" && (!env.given("module") || env.given("reader")):
		return false, p11.URI{}, nil
	case f.app == "" && f.token == "":
		// Whoever names a module, and no reader, means what the module shows.
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
