package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/record"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type signOptions struct {
	key, out string
	secrets  secretFlags
}

func newLedgerSignCmd(env *session) *cobra.Command {
	var o signOptions
	cmd := &cobra.Command{
		Use:   "sign --key REF",
		Short: "Sign the head of the log with a card",
		Long: `Sign the last record of the log with a key on a card. Each record has the hash
of the one before, so this signs all of them. The signature is stored in the
ledger. With --out, it is also written to a file, which you keep elsewhere:
cardctl ledger verify --anchor FILE then finds what was changed later.`,
		Example: "  cardctl ledger sign --key OPENPGP.1 --out anchor.json",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.StringVar(&o.out, "out", "", "`file` for the signature")
	o.secrets.add(flags, secret.PIN, "user PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

// signedLog is what was signed.
type signedLog struct {
	Number    int64     `json:"number"`
	Hash      string    `json:"hash"`
	At        time.Time `json:"at"`
	Key       string    `json:"publicKey"`
	Signature []byte    `json:"signature"`
	File      string    `json:"file,omitempty"`
}

func (o *signOptions) run(ctx context.Context, env *session) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	return env.withLedger(ctx, ledger.Options{}, func(l *ledger.Ledger) error {
		anchor, err := record.Sign(ctx, env.desk(), access, ref, l)
		if err != nil {
			return err
		}
		if o.out != "" {
			var document bytes.Buffer
			if err := anchor.Write(&document); err != nil {
				return err
			}
			if err := env.writeFile(ctx, o.out, document.Bytes()); err != nil {
				return err
			}
		}
		signed := signedLog{anchor.Number, anchor.Hash, anchor.At, anchor.Key, anchor.Signature, o.out}
		return env.result("LedgerSigned", signed, func(s *output.Sheet) {
			s.Heading(fmt.Sprintf("Signed the log up to record %d", signed.Number))
			s.Field("hash", signed.Hash)
			s.Field("written to", o.out)
		})
	})
}
