package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/setup"
	"github.com/cardctl/cardctl/internal/typed"
)

type setupOptions struct {
	setup.Options
	key, ca            string
	print, check, undo bool
	secrets            secretFlags
}

func newSetupCmd(env *session) *cobra.Command {
	var o setupOptions
	cmd := &cobra.Command{
		Use:   "setup TARGET",
		Short: "Make a program use the card",
		Long: `Write what a program needs to use the card into its configuration. cardctl only
touches its own entries. If other values are there, it shows them and asks for
confirmation unless you add --yes. It restarts no service: it prints the command
to type.

--print shows what would be written. --check makes the program use the card, and
reports what it saw. --undo takes back what cardctl wrote, without the card.

  firefox      log in to web sites with the key, with a profile or --system.
  chromium     log in to web sites with the key. --url needs --system.
  thunderbird  sign and decrypt mail with the key.
  openvpn      connect with the key, as a service or without cardctl.
  ssh          log in with the key.
  git          sign commits with the key, through OpenSSH or gpgsm.
  gpg          sign and decrypt with the keys of an OpenPGP card.
  gpgsm        sign and decrypt mail (S/MIME) with the keys of an OpenPGP card.
  gnupg-pkcs11-scd
               use RSA keys of any PKCS#11 module in gpg and gpgsm.
  openssl      use the PKCS#11 module in programs with OpenSSL.
  nginx        prove the server with the key.
  apache       prove the server with the key.
  stunnel      prove the server with the key.
  strongswan   prove this end of a VPN (IPsec) with the key.
  wpa-supplicant
               log in to the wired network with the key, or with --url to the
               wireless networks of these names (SSID).
  java         use the key in Java programs.
  p11-kit      register the PKCS#11 module for the programs that use p11-kit.
  polkit       allow a user or group to use readers away from the console.`,
		Example: `  cardctl setup p11-kit --system --print
  cardctl setup polkit --group users --print`,
		Args:      typed.OneArg("TARGET"),
		ValidArgs: setup.Names(),
		RunE:      func(cmd *cobra.Command, args []string) error { return runSetup(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.BoolVar(&o.print, "print", false, "show what would be written")
	flags.BoolVar(&o.check, "check", false, "make the program use the key")
	flags.BoolVar(&o.undo, "undo", false, "take back what cardctl wrote")
	cmd.MarkFlagsMutuallyExclusive("print", "check", "undo")
	flags.BoolVar(&o.DeleteAdopted, "delete-adopted", false, "with --undo: also delete the OpenPGP key that gpg adopted")
	flags.BoolVar(&o.System, "system", false, "set up the program for all users")
	flags.StringVar(&o.User, "user", "", "`name` of the user whose program is set up, or whom a rule is for")
	flags.StringVar(&o.Group, "group", "", "`name` of the group that a rule is for")
	flags.StringVar(&o.Profile, "profile", "", "`directory` of the profile of a browser (default: the only one)")
	flags.StringVar(&o.ca, "ca", "", "`file` with the CA certificates that the program trusts")
	flags.StringSliceVar(&o.URLs, "url", nil, "`pattern` of hosts, sites or wireless networks for which the key is used (default all hosts and sites); repeatable")
	flags.BoolVar(&o.Agent, "agent", false, "leave the key to cardctl agent, or for ssh to ssh-agent if that does not run")
	flags.BoolVar(&o.AllowTLS12, "allow-tls12", false, "limit the program to TLS 1.2 for a key that needs it")
	flags.StringVar(&o.Format, "format", "", "`format` of git's signatures: ssh (default) or x509")
	flags.StringVar(&o.Picture, "picture", "", "`file` for a picture (PNG) of the page that --check opens")
	o.secrets.add(flags, secret.PIN, "user PIN, for --check, servers and gpg")
	o.secrets.addLastTry(flags)
	return cmd
}

func runSetup(ctx context.Context, env *session, o *setupOptions, target string) error {
	var access desk.Access
	var err error
	if setup.NeedsKey(target) && !o.undo || o.key != "" {
		o.Key, access, err = env.parseKeyAccess(ctx, o.key, &o.secrets)
	} else {
		access, err = o.secrets.access(env)
	}
	if err != nil {
		return err
	}
	if o.Dir, err = env.stateOf("setup"); err != nil {
		return err
	}
	if o.CA, err = env.readCertificates(ctx, o.ca, access.Ask); err != nil {
		return err
	}
	d := env.desk()
	if o.Sockets, err = env.runtimeDir(); err != nil {
		return err
	}
	o.Stored, o.Remote = certstore.ExportFrom, []string{"agent", "--stdio", service.P11}
	o.Target, o.Module, o.Home, o.Environ = target, env.flags.module, env.Getenv("HOME"), d.ChildEnv
	for action, is := range map[setup.Action]bool{setup.Print: o.print, setup.Check: o.check, setup.Undo: o.undo} {
		if is {
			o.Action = action
		}
	}
	report, failed := setup.Run(ctx, d, access, o.Options)
	if failed != nil && !report.Tells() {
		return failed
	}
	if err := env.result("Setup", report, report.Text); err != nil {
		return err
	}
	return failed
}
