package main

import (
	"context"
	"os"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/problem"
)

// mostRequests is how many requests a command issues certificates for.
const mostRequests = 10_000

// runCAIssueEach issues certificates for several requests, and writes each when it is
// issued.
func runCAIssueEach(ctx context.Context, env *session, o *caIssueOptions, dir string, requests []string) error {
	if n := o.order.Names; n.Subject != "" || len(n.Emails)+len(n.DNS)+len(n.UPNs) > 0 || o.order.SID != "" {
		return problem.New(problem.Usage, "the names on the command line are for one certificate").
			Because("%d requests have names of their own.", len(requests)).Advise(advice.Do(advice.Help))
	}
	orders := make([]ca.Order, len(requests))
	for i, file := range requests {
		one := *o
		if err := one.read(ctx, env, file); err != nil {
			return err
		}
		one.order.Source = file
		orders[i] = one.order
	}
	if o.file.out == "" || o.file.out == "-" {
		return problem.New(problem.Usage, "several certificates need a directory").
			Because("Each is written to a file of its own there.").Advise(advice.Repeat(advice.Set(advice.Out, "certificates")))
	}
	files, err := ca.Destinations(requests, o.file.out, "."+o.file.format)
	if err == nil {
		err = os.MkdirAll(o.file.out, 0o777)
	}
	if err != nil {
		return err
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	reports := []issuedReport{}
	err = withCA(ctx, dir, func(c *ca.CA) error {
		return c.IssueEach(ctx, env.desk(), access, orders, env.Now(), func(issued ca.Issued) error {
			at := o.file
			at.out = files[len(reports)]
			report := reportIssued(env, issued)
			err := at.save(ctx, env, &report.exported)
			if err != nil { // it is issued all the same
				env.note("The certificate was issued: cardctl ca show %s %s", dir, issued.Serial)
			}
			reports = append(reports, report)
			return err
		})
	})
	if err != nil && len(reports) > 0 {
		env.note("%d of %d certificates were issued before this failed.", len(reports), len(requests))
	}
	if env.flags.output != formatJSON || err != nil && len(reports) == 0 {
		return err
	}
	document := struct {
		Certificates []issuedReport `json:"certificates"`
	}{reports}
	if told := env.result("CertificatesIssued", document, nil); err == nil {
		err = told
	}
	return err
}
