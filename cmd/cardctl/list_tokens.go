package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// defaultModule is the PKCS#11 module that is used where none is named.
const defaultModule = "opensc"

func newListTokensCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "list-tokens",
		Short: "List the tokens of a PKCS#11 module",
		Long: `List the tokens of a PKCS#11 module, of opensc where --module names no other:
label, model, serial, state of the PINs, mechanisms, and the URI of RFC 7512.`,
		Example: "  cardctl list-tokens\n  cardctl list-tokens --module softhsm2 -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runListTokens(cmd.Context(), env) },
	}
}

type tokenList struct {
	Module string `json:"module"`
	p11.Listing
}

func runListTokens(ctx context.Context, env *Env) error {
	module := env.moduleName()
	listing, err := p11.ListTokens(ctx, module)
	if err != nil {
		return err
	}
	wanted := []p11.Token{}
	for _, t := range listing.Tokens {
		if env.flags.serial == "" || hasSerial(t.Serial, env.flags.serial) {
			wanted = append(wanted, t)
		}
	}
	if len(wanted) == 0 {
		return problem.New(problem.NotFound, "no token in %s", module).
			Because("The module shows %d tokens, and none of them is meant.", len(listing.Tokens)).
			Hint("cardctl list-readers shows the cards; cardctl doctor shows the modules")
	}
	listing.Tokens = wanted
	return env.result("TokenList", tokenList{module, listing}, func(s *output.Sheet) {
		s.Heading(listing.Description + ", " + listing.Path)
		for i := range listing.Tokens {
			s.Gap()
			tokenText(s, &listing.Tokens[i])
		}
	})
}

// moduleName is the module that --module names.
func (env *Env) moduleName() string {
	if env.flags.module == "" {
		return defaultModule
	}
	return env.flags.module
}

func tokenText(s *output.Sheet, t *p11.Token) {
	s.Heading(cmp.Or(t.Label, "(no label)"))
	s.Field("in", t.SlotDescription)
	s.Field("model", strings.TrimSpace(t.Manufacturer+" "+t.Model))
	s.Field("serial", t.Serial)
	s.Field("user PIN", fmt.Sprintf("%s, %d to %d bytes", t.UserPIN, t.MinPINLength, t.MaxPINLength))
	s.Field("SO PIN", t.SOPIN.String())
	if !t.Initialized {
		s.Field("state", "not initialised")
	}
	names := make([]string, len(t.Mechanisms))
	for i, m := range t.Mechanisms {
		names[i] = m.Name
	}
	s.Field("mechanisms", strings.Join(names, ", "))
	s.Field("URI", t.URI)
}
