package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

func newCAImportCmd(env *session) *cobra.Command {
	var secrets secretFlags
	cmd := &cobra.Command{
		Use:   "import DIR FROM|FILE...",
		Short: "Take over a CA of openssl ca or easy-rsa",
		Long: `Create a CA in DIR out of a directory of openssl ca or easy-rsa: its
certificate, index.txt, certificates and the number of the next CRL. With
--password, the key is taken too, and encrypted under that password; if it is
encrypted already, it is the password that opens it. Otherwise it stays.

Or add certificates that the CA issued to its database: those of the time since
a backup that was restored.`,
		Example: `  cardctl ca import office-ca easy-rsa --password file:ca.password
  cardctl ca import desk-ca me.pem`,
		Args: typed.Args(2, mostSerials, "the directory of the CA, and another directory or files with certificates"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCAImport(cmd.Context(), env, &secrets, args[0], args[1:])
		},
	}
	secrets.add(cmd.Flags(), secret.Password, "password of the CA's key in a file")
	return cmd
}

func runCAImport(ctx context.Context, env *session, secrets *secretFlags, dir string, from []string) error {
	access, err := secrets.access(env)
	if err != nil {
		return err
	}
	var imported ca.Imported
	if len(from) == 1 && ca.IsDirectory(from[0]) {
		imported, err = ca.TakeOver(ctx, access.Ask, dir, from[0])
	} else {
		imported, err = addToCA(ctx, env, dir, from)
	}
	if err != nil {
		return err
	}
	return env.result("CAImported", imported, func(s *output.Sheet) {
		s.Heading(fmt.Sprintf("Took %d certificates into the CA in %s", imported.Taken, dir))
		caText(s, &imported.Report)
		if imported.Known > 0 {
			s.Field("known before", fmt.Sprint(imported.Known))
		}
		s.Field("no certificate", strings.Join(imported.WithoutCertificate, ", "))
		s.Field("the key stays in", imported.KeyStays)
	})
}

// addToCA reads all files before it adds anything.
func addToCA(ctx context.Context, env *session, dir string, files []string) (imported ca.Imported, err error) {
	var all []*cert.Certificate
	for _, file := range files {
		certificates, err := env.readCertificates(ctx, file, nil)
		if err != nil {
			return imported, err
		}
		all = append(all, certificates...)
	}
	return imported, withCA(ctx, dir, func(c *ca.CA) error {
		imported, err = c.Add(ctx, all)
		return err
	})
}
