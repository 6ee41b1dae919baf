package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type moveKeyOptions struct {
	key, to string
	retire  bool
	secrets secretFlags
}

func newMoveKeyCmd(env *session) *cobra.Command {
	var o moveKeyOptions
	cmd := &cobra.Command{
		Use:   "move-key --key REF",
		Short: "Move a key to another slot of the card",
		Long: `Move a key and its certificate to an empty slot of a PIV card, if the card can
do that (YubiKey 5.7). --retire chooses the next free slot for retired keys,
where an old decryption key stays usable. If the command is interrupted, run it
again: it continues.`,
		Example: `  cardctl move-key --key PIV.9D --retire
  cardctl move-key --key PIV.9A --to PIV.82`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runMoveKey(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.StringVar(&o.to, "to", "", "`reference` of the empty slot, such as PIV.82")
	flags.BoolVar(&o.retire, "retire", false, "move the key to the next free slot for retired keys")
	o.secrets.addManagementKey(flags)
	o.secrets.add(flags, secret.PIN, "user PIN, for a protected management key")
	o.secrets.addLastTry(flags)
	cmd.MarkFlagsOneRequired("to", "retire")
	cmd.MarkFlagsMutuallyExclusive("to", "retire")
	return cmd
}

func runMoveKey(ctx context.Context, env *session, o *moveKeyOptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	moved, err := keygen.Move(ctx, env.desk(), access, ref, o.to)
	if err != nil {
		return err
	}
	done := "Moved the key to "
	if moved.Finished {
		done = "Finished the interrupted move of the key to "
	}
	return env.result("KeyMoved", moved, func(s *output.Sheet) {
		(&keyReport{Report: moved.Report}).text(env, s, done)
		s.Field("from", moved.From)
		s.Field("certificate", moved.Certificate)
	})
}
