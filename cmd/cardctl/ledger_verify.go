package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerVerifyCmd(env *session) *cobra.Command {
	var anchor string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify that the log is whole",
		Long: `Verify the chain of the log and its signatures. The first record that was
changed, removed or put in is named (exit 8). What was recorded after the last
signature can be removed without a trace: verify says from where on.

With --anchor, only the key counts that made the signature in FILE. Without it,
anyone who can write the database can replace the log, and sign it with another
key.`,
		Example: "  cardctl ledger verify\n  cardctl ledger verify --anchor anchor.json",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLedgerVerify(cmd.Context(), env, anchor) },
	}
	cmd.Flags().StringVar(&anchor, "anchor", "", "`file` that cardctl ledger sign --out wrote")
	return cmd
}

// verifiedLog is a log that is whole.
type verifiedLog struct {
	Records int64 `json:"records"`
	// Signed is the last record that is signed; 0 if none is.
	Signed       int64     `json:"signed"`
	UnsignedFrom int64     `json:"unsignedFrom,omitempty"`
	By           string    `json:"signedBy,omitempty"`
	At           time.Time `json:"signedAt,omitzero"`
}

func runLedgerVerify(ctx context.Context, env *session, file string) error {
	const longest = 1 << 28
	var anchor *ledger.Anchor
	if file != "" {
		data, err := env.readFile(ctx, file, longest)
		if err != nil {
			return err
		}
		if anchor, err = ledger.ReadAnchor(data); err != nil {
			return about(err, file)
		}
	}
	return env.withLedger(ctx, ledger.Options{ReadOnly: true}, func(l *ledger.Ledger) error {
		verified, err := l.Verify(ctx, anchor)
		if err != nil {
			return err
		}
		v := verifiedLog{Records: verified.Records, Signed: verified.Signed, By: verified.By, At: verified.At}
		if v.Signed < v.Records {
			v.UnsignedFrom = v.Signed + 1
		}
		return env.result("LedgerVerified", v, func(s *output.Sheet) {
			s.Heading(fmt.Sprintf("The log is whole: %d records", v.Records))
			if v.Signed > 0 {
				s.Field("signed", fmt.Sprintf("up to record %d, at %s", v.Signed, output.Time(v.At)))
				s.Field("by key", v.By)
			}
			if v.UnsignedFrom > 0 {
				s.Field("not signed", fmt.Sprintf("from record %d on", v.UnsignedFrom))
			}
		})
	})
}
