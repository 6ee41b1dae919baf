package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAppletStoreDataCmd(env *session) *cobra.Command {
	var f domainFlags
	var w applet.StoreWish
	cmd := &cobra.Command{
		Use:   "store-data FILE|HEX",
		Short: "Personalise an applet or a security domain",
		Long: `Send data to the applet that --applet names, or to the security domain itself.
The data is the content of FILE, or HEX if no file has that name. Only the card
knows what it does with the data, and cardctl cannot read it back.`,
		Example: `  cardctl applet store-data perso.bin --structure dgi --card-keys default
  cardctl applet store-data 4504A0B1C2D3 --card-keys default`,
		Args: typed.OneArg("a file, or data in hexadecimal"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.Domain = f.wish()
			return runAppletStoreData(cmd.Context(), env, &f, w, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&w.Applet, "applet", "", "`AID` of the applet that gets the data (default: the security domain)")
	flags.StringVar(&w.Structure, "structure", "", "`structure` of the data: dgi, ber-tlv (default: not stated)")
	flags.Uint16Var(&w.BlockSize, "block-size", 0, "most `bytes` of data per command, 48 to 255 (default: as many as fit)")
	f.add(flags)
	return cmd
}

func runAppletStoreData(ctx context.Context, env *session, f *domainFlags, w applet.StoreWish, argument string) error {
	store := func(ctx context.Context, d *desk.Desk, a desk.Access, options applet.StoreOptions) (report *applet.StoreReport, err error) {
		if options.Data, err = applet.ReadStored(ctx, argument); err != nil {
			return nil, err
		}
		return applet.StoreData(ctx, d, a, options)
	}
	return onDomain(ctx, env, f, w.Parse, store, "DataStored", func(report *applet.StoreReport, s *output.Sheet) {
		s.Heading("Stored on the card in " + report.Reader)
		s.Field("applet", report.Applet.String())
		s.Field("size", strconv.Itoa(report.Bytes)+" bytes")
	})
}
