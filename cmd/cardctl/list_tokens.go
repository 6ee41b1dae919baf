package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

func newListTokensCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "list-tokens",
		Short: "List PKCS#11 tokens",
		Long: `List the tokens of the PKCS#11 module that --module names, or of every module
that p11-kit or cardctl finds. Show the label, model, serial, PIN state,
mechanisms and URI (RFC 7512) of each token. A module that does not work is
reported.`,
		Example: "  cardctl list-tokens\n  cardctl list-tokens --module softhsm2 -o json",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runListTokens(cmd.Context(), env) },
	}
}

type tokenList struct {
	Modules []listedModule          `json:"modules"`
	Tokens  []inventory.ListedToken `json:"tokens"`
}

type listedModule struct {
	inventory.ListedModule
	Problem *readerProblem `json:"problem,omitempty"` // why it could not be used
}

func runListTokens(ctx context.Context, env *session) error {
	list, err := env.listTokens(ctx)
	if err != nil {
		return err
	}
	if len(list.Tokens) == 0 && (env.flags.module != "" || env.flags.serial != "") {
		next := advice.Do(advice.Diagnose)
		if env.flags.serial != "" {
			next = advice.Repeat().Without(advice.Serial)
		}
		return problem.New(problem.NotFound, "no token").Because("The module has no matching token.").Advise(next)
	}
	return env.result("TokenList", list, list.text)
}

func (env *session) listTokens(ctx context.Context) (*tokenList, error) {
	modules, tokens, err := inventory.Tokens(ctx, env.desk(), env.flags.output == formatJSON)
	if err != nil {
		return nil, err
	}
	list := &tokenList{Modules: []listedModule{}, Tokens: append([]inventory.ListedToken{}, tokens...)}
	for _, m := range modules {
		shown := listedModule{ListedModule: m}
		if m.Err != nil {
			p := env.diagnose(m.Err)
			shown.Problem = &readerProblem{p.Code, p.Message(), p.Try}
		}
		list.Modules = append(list.Modules, shown)
	}
	return list, nil
}

func (l *tokenList) text(s *output.Sheet) {
	for i, m := range l.Modules {
		if i > 0 {
			s.Gap()
		}
		s.Heading(cmp.Or(m.Description, m.Name))
		s.Field("module", m.Path)
		if m.Problem != nil {
			s.Field("problem", m.Problem.Message)
		}
		for n := range l.Tokens {
			if l.Tokens[n].Module == m.Path {
				s.Gap()
				l.Tokens[n].Text(s)
			}
		}
	}
}
