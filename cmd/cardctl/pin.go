package main

import (
	"context"
	"fmt"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
)

const whichPIN = "the PIN to set: user, admin, so, puk or reset-code"

// parsePIN reads which PIN is meant. What was typed is not repeated: it may be
// the PIN itself.
func parsePIN(which string) (cardinit.PIN, error) {
	switch pin := cardinit.PIN(which); pin {
	case cardinit.User, cardinit.Admin, cardinit.SO, cardinit.PUK, cardinit.ResetCode:
		return pin, nil
	}
	return "", problem.New(problem.Usage, "this is no PIN that cardctl knows").
		Because("The argument is %s.", whichPIN)
}

type pinReport struct {
	Reader string `json:"reader"`
	cardinit.PINReport
}

// pinChange is how a PIN is changed on each kind of thing that has one.
type pinChange struct {
	onCard   func(context.Context, *iso7816.Channel) (cardinit.PINReport, error)
	onPKCS15 func(context.Context, *pkcs15.Card) (cardinit.PINReport, error)
	onToken  func(context.Context, *p11.Module, p11.URI) (cardinit.PINReport, error)
}

// changePIN changes a PIN where it is meant, and tells what was done to it.
func (env *Env) changePIN(ctx context.Context, meant *applicationFlags, done string, change pinChange) error {
	var report pinReport
	kind, place, err := meant.run(ctx, env, works{
		onCard: func(ctx context.Context, c *card) (err error) {
			report.PINReport, err = change.onCard(ctx, c.Channel)
			return err
		},
		onPKCS15: func(ctx context.Context, c *pkcs15.Card) (err error) {
			report.PINReport, err = change.onPKCS15(ctx, c)
			return err
		},
		onToken: func(ctx context.Context, m *p11.Module, uri p11.URI) (err error) {
			report.PINReport, err = change.onToken(ctx, m, uri)
			return err
		},
	})
	if err != nil {
		return err
	}
	report.Reader = place
	return env.result("PINChanged", report, func(s *output.Sheet) {
		s.Heading(fmt.Sprintf("%s the %s PIN of %s %s in %s", done, report.PIN, kind, report.Serial, report.Reader))
	})
}
