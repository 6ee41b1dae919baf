package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

func newCAListCmd(env *session) *cobra.Command {
	var expiring string
	cmd := &cobra.Command{
		Use:   "list DIR",
		Short: "List the certificates of a CA",
		Long: `List what a CA issued: valid, revoked, held or expired. With --expiring, list
the valid certificates that end within that time.`,
		Example: "  cardctl ca list desk-ca\n  cardctl ca list desk-ca --expiring 30d -o json",
		Args:    typed.OneArg("the directory of the CA"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runCAList(cmd.Context(), env, expiring, args[0]) },
	}
	cmd.Flags().StringVar(&expiring, "expiring", "", "only what ends within this `time`, such as 30d or 12h")
	return cmd
}

func runCAList(ctx context.Context, env *session, expiring, dir string) error {
	within, err := parseDays(expiring)
	if err != nil {
		return err
	}
	return readingCA(ctx, dir, func(c *ca.CA) error {
		document := struct {
			Certificates []ca.Entry `json:"certificates"`
		}{}
		if document.Certificates, err = c.List(ctx, within, env.Now()); err != nil {
			return err
		}
		return env.result("CertificateList", document, func(s *output.Sheet) {
			for i := range document.Certificates {
				s.Heading(document.Certificates[i].Serial)
				entryText(s, &document.Certificates[i])
			}
		})
	})
}

func entryText(s *output.Sheet, e *ca.Entry) {
	s.Field("subject", e.Subject)
	state := string(e.State)
	if e.Revoked != nil {
		state += " on " + output.Time(*e.Revoked) + ", " + e.Reason
	}
	s.Field("state", state)
	s.Field("valid until", output.Time(e.NotAfter))
	s.Field("profile", e.Profile)
}

// parseDays reads a time such as 30d or 12h; empty is 0.
func parseDays(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	unit := time.Duration(1)
	number := text
	if days, ok := strings.CutSuffix(text, "d"); ok {
		unit, number = day/time.Hour, days+"h"
	}
	if text == "" {
		return 0, nil
	}
	within, err := time.ParseDuration(number)
	if err != nil || within <= 0 || within > 100_000*time.Hour {
		return 0, problem.New(problem.Usage, "not a time: %q", text).Because("Such as 30d or 12h.").Advise(advice.Do(advice.Help))
	}
	return within * unit, nil
}
