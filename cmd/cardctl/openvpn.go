package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/openvpn"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

func newOpenVPNCmd(env *session) *cobra.Command {
	var o openvpn.Options
	var secrets secretFlags
	cmd := &cobra.Command{
		Use:   "openvpn CONFIG [-- ARGS...]",
		Short: "Run OpenVPN with a key on a card",
		Long: `Run OpenVPN with the certificate of a key on the card, until OpenVPN ends or
you press Ctrl-C. CONFIG names neither a certificate nor a key. ARGS are further
options of OpenVPN. Its log goes to stderr.

cardctl waits for the card, and sends the PIN once when OpenVPN asks for it.
--timeout counts until the connection is up. If you omit --key, the only key
with a certificate is used.`,
		Example: `  cardctl openvpn client.ovpn
  cardctl openvpn --key OPENPGP.3 --pin env:PIN client.ovpn -- --verb 4`,
		Args: typed.OneArgAndMore("the configuration of OpenVPN; what OpenVPN gets besides comes after --"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runOpenVPN(cmd.Context(), env, &o, &secrets, args)
		},
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.Key)
	flags.BoolVar(&o.AllowTLS12, "allow-tls12", false, "limit OpenVPN to TLS 1.2, for an RSA key without RSA-PSS")
	secrets.add(flags, secret.PIN, "user PIN")
	secrets.addLastTry(flags)
	return cmd
}

func runOpenVPN(ctx context.Context, env *session, o *openvpn.Options, secrets *secretFlags, args []string) (err error) {
	if o.Key != "" { // else the only one
		if o.Key, err = env.parseKey(ctx, o.Key); err == nil {
			err = secrets.takePINSource(o.Key)
		}
	}
	access, failed := secrets.access(env)
	if err = errors.Join(err, failed); err == nil {
		o.Text, err = env.readFile(ctx, args[0], openvpn.LongestConfig)
	}
	if err != nil {
		return err
	}
	o.Config, o.Args, o.Lasting, o.Stored = args[0], args[1:], env.lasting, certstore.ExportFrom
	o.Log = func(line string) { env.note("%s", line); env.progress.Done() }
	if !env.flags.noInput && env.terminal.Available() {
		o.Choose = env.terminal.Choose
	}
	return openvpn.Run(ctx, env.desk(), access, *o)
}
