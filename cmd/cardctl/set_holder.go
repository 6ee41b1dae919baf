package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/holder"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type setHolderOptions struct {
	fields  []holderField
	secrets secretFlags
}

// holderField is a flag, and the part of a wish that it sets.
type holderField struct {
	flag *pflag.Flag
	part func(*holder.Wish) **string
}

func newSetHolderCmd(env *session) *cobra.Command {
	var o setHolderOptions
	cmd := &cobra.Command{
		Use:   "set-holder",
		Short: "Set the name and other data of the cardholder",
		Long: `Set what an OpenPGP card reports about the person it belongs to. Data without a
flag stays as it is. An empty value removes it. Everybody who has the card can
read this data, without a PIN.

The last word of the name is the surname. If the surname has several words,
write SURNAME<<GIVEN NAMES. A card stores only letters of ISO 8859-1 (Western
European) in the name.`,
		Example: `  cardctl set-holder --name 'Floppy Head' --language de,en
  cardctl set-holder --name 'van der Head<<Floppy' --sex unspecified \
      --admin-pin env:ADMIN_PIN
  cardctl set-holder --login floppy --url https://example.com/floppy.asc
  cardctl set-holder --url ''`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSetHolder(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	o.field(flags, "name", "`name` of the cardholder, such as 'Floppy Head'", func(w *holder.Wish) **string { return &w.Name })
	o.field(flags, "login", "`login` name, or other data for logins", func(w *holder.Wish) **string { return &w.Login })
	o.field(flags, "url", "`URL` of the public key", func(w *holder.Wish) **string { return &w.URL })
	o.field(flags, "language", "preferred `languages`, in codes of two letters, such as de,en", func(w *holder.Wish) **string { return &w.Language })
	o.field(flags, "sex", "`sex`: male, female, unknown or unspecified", func(w *holder.Wish) **string { return &w.Sex })
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

// field makes the flag of a part of the wish.
func (o *setHolderOptions) field(flags *pflag.FlagSet, name, usage string, part func(*holder.Wish) **string) {
	flags.String(name, "", usage)
	o.fields = append(o.fields, holderField{flags.Lookup(name), part})
}

func runSetHolder(ctx context.Context, env *session, o *setHolderOptions) error {
	var wish holder.Wish
	for _, f := range o.fields {
		if f.flag.Changed {
			value := f.flag.Value.String()
			*f.part(&wish) = &value
		}
	}
	if wish.IsZero() {
		return problem.New(problem.Usage, "nothing to set").
			Because("Valid flags: --name, --login, --url, --language, --sex.").Advise(advice.Repeat(advice.Fill(advice.Name)))
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	report, err := holder.Set(ctx, env.desk(), access, wish)
	if err != nil {
		return err
	}
	return env.result("HolderSet", report, func(s *output.Sheet) {
		s.Heading("Set the cardholder of " + report.Kind + " " + report.Serial + " in " + report.Reader)
		for _, line := range report.Cardholder.Lines()[1:] {
			s.Field(line.Label, line.Value)
		}
	})
}
