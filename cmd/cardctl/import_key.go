package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type importKeyOptions struct {
	wish    keygen.Wish
	secrets secretFlags
}

func newImportKeyCmd(env *session) *cobra.Command {
	var o importKeyOptions
	cmd := &cobra.Command{
		Use:   "import-key --key REF FILE",
		Short: "Import an existing key to the card",
		Long: `Import an existing private key to the card. FILE is PKCS#12, PKCS#8, PKCS#1 or
OpenSSH, or - for stdin. --name chooses one of several keys. An existing key on
the card is not overwritten unless --replace names it by its fingerprint. A PIV
card needs its management key. If it does not report its keys, it also needs the
PIN: the imported key has to prove itself.`,
		Example: `  cardctl import-key --key OPENPGP.2 backup.p12
  cardctl import-key --key OPENPGP.2 --password file:pw \
      --admin-pin env:ADMIN_PIN key.pem`,
		Args: typed.OneArg("the file with the private key, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error { return runImportKey(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.wish.Key)
	newKeyFlags(flags, &o.wish)
	flags.StringVar(&o.wish.Name, "name", "", "`name` or fingerprint of the key in a PKCS#12 file")
	o.secrets.addManagementKey(flags)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.add(flags, secret.PIN, "user PIN of a token, a PKCS#15 or a PIV card")
	o.secrets.add(flags, secret.Password, "password of the file")
	o.secrets.addLastTry(flags)
	return cmd
}

// runImportKey reads the file before it looks at the card.
func runImportKey(ctx context.Context, env *session, o *importKeyOptions, file string) error {
	ref, access, err := env.parseKeyAccess(ctx, o.wish.Key, &o.secrets)
	if err != nil {
		return err
	}
	if err := oneReader(&o.secrets, file); err != nil {
		return err
	}
	data, err := env.readFile(ctx, file, keygen.MaxFile)
	if err != nil {
		return err
	}
	defer secret.Wipe(data)
	private, certificates, err := keygen.ParsePrivateKey(ctx, data, o.wish.Name, access.Ask)
	if err != nil {
		return about(err, file)
	}
	wish := o.wish
	wish.Key = ref
	var report keyReport
	var stored *certstore.Report
	beside := certstore.Beside(certificates, &stored, certstore.Options{Now: env.Now(), AllowExpired: true})
	if report.Report, err = keygen.Import(ctx, env.desk(), access, private, wish, beside); err != nil {
		return err
	}
	switch {
	case stored != nil:
		report.Certificate = &stored.Certificate
	case len(certificates) > 0:
		env.note("The file also has a certificate. To import it: %s",
			env.line.Worded(advice.Do(advice.ImportCertificate, advice.Set(advice.Key, ref)).On(file)))
	}
	return env.result("KeyImported", report, func(s *output.Sheet) {
		if report.Unchanged {
			report.text(env, s, "This is already the key ")
		} else {
			report.text(env, s, "Imported the key ")
		}
		if report.Certificate != nil {
			s.Field("certificate", report.Certificate.Subject)
		}
	})
}
