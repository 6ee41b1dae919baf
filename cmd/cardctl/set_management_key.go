package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type setManagementKeyOptions struct {
	cardinit.NewManagementKey
	secrets secretFlags
}

func newSetManagementKeyCmd(env *session) *cobra.Command {
	var o setManagementKeyOptions
	cmd := &cobra.Command{
		Use:   "set-management-key",
		Short: "Change the management key of a PIV card",
		Long: `Change the management key of a PIV card, which is needed to write keys and
certificates. --management-key is the current key. The new one is read from
--new-management-key, or cardctl generates it. --generate-management-key writes
it to a new file, readable only by you, before the card has it.
--protect-management-key stores it on the card, where the PIN opens it, as ykman
does. Afterwards, the card has to prove that it has the new key.`,
		Example: `  cardctl set-management-key --management-key default \
      --generate-management-key management.key
  cardctl set-management-key --management-key file:management.key \
      --protect-management-key --pin prompt
  cardctl set-management-key --management-key protected --pin prompt \
      --generate-management-key new.key --management-key-algorithm aes192`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSetManagementKey(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	o.secrets.addNamed(flags, secret.ManagementKey, "current management key", secret.FactoryValue, secret.StoredOnCard)
	o.secrets.addNamed(flags, secret.NewManagementKey, "new management key", secret.FactoryValue)
	newManagementKeyFlags(flags, &o.NewManagementKey)
	o.secrets.add(flags, secret.PIN, "user PIN, for a key that it opens")
	o.secrets.addLastTry(flags)
	cmd.MarkFlagsMutuallyExclusive(string(secret.NewManagementKey), "generate-management-key", "protect-management-key")
	return cmd
}

// newManagementKeyFlags are how a new management key is made.
func newManagementKeyFlags(flags *pflag.FlagSet, n *cardinit.NewManagementKey) {
	flags.StringVar(&n.File, "generate-management-key", "", "new `file` for a random management key")
	flags.BoolVar(&n.Protect, "protect-management-key", false, "store a random management key on the card, where the PIN opens it")
	flags.StringVar(&n.Algorithm, "management-key-algorithm", "", "`algorithm` of the new management key: aes256, aes192, aes128, 3des (default: by its length)")
	flags.BoolVar(&n.Touch, "touch", false, "require a touch of the card for each use of the new management key")
}

func runSetManagementKey(ctx context.Context, env *session, o *setManagementKeyOptions) error {
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	report, err := cardinit.SetManagementKey(ctx, env.desk(), access, o.NewManagementKey)
	if err != nil {
		return err
	}
	return env.result("ManagementKeyChanged", report, func(s *output.Sheet) {
		s.Heading(fmt.Sprintf("The %s %s in %s has a new management key", report.Kind, report.Serial, report.Reader))
		managementKeyText(s, &report.ManagementKey)
	})
}

// managementKeyText says what a new management key is, and how to use it.
func managementKeyText(s *output.Sheet, k *cardinit.ManagementKey) {
	algorithm := k.Algorithm
	if k.Touch {
		algorithm += ", with a touch for each use"
	}
	s.Field("algorithm", algorithm)
	switch {
	case k.File != "":
		s.Field("use it with", "--management-key file:"+k.File)
	case k.Protected:
		s.Field("use it with", "--management-key "+secret.StoredOnCard)
	}
}
