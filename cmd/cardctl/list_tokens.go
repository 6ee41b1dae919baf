package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

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
		Short: "List PKCS#11 tokens",
		Long: `List the tokens of the PKCS#11 module that --module names, else of every module
that p11-kit and cardctl know: label, model, serial, state of the PINs,
mechanisms, and the URI of RFC 7512. A module that does not work is named.`,
		Example: "  cardctl list-tokens\n  cardctl list-tokens --module softhsm2 -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runListTokens(cmd.Context(), env) },
	}
}

type tokenList struct {
	Modules []listedModule `json:"modules"`
	Tokens  []listedToken  `json:"tokens"`
}

type listedModule struct {
	Name        string         `json:"name"`
	Path        string         `json:"path,omitempty"`
	Description string         `json:"description,omitempty"`
	Problem     *readerProblem `json:"problem,omitempty"` // why it could not be used
}

type listedToken struct {
	Module string `json:"module"` // the path of the module that shows it
	p11.Token
}

func runListTokens(ctx context.Context, env *Env) error {
	list, err := env.listTokens(ctx)
	if err != nil {
		return err
	}
	if len(list.Tokens) == 0 && (env.flags.module != "" || env.flags.serial != "") {
		return problem.New(problem.NotFound, "no token").
			Because("The module has none that is meant.").
			Hint("cardctl list-readers shows the cards; cardctl doctor shows the modules")
	}
	return env.result("TokenList", list, list.text)
}

// listTokens fails for a broken module only where that one was named.
func (env *Env) listTokens(ctx context.Context) (*tokenList, error) {
	list := &tokenList{Modules: []listedModule{}, Tokens: []listedToken{}}
	names := env.moduleNames()
	for _, name := range names {
		listing, err := env.listModule(ctx, name, len(names))
		if err != nil && (env.flags.module != "" || ctx.Err() != nil) {
			return nil, err
		}
		m := listedModule{Name: name, Path: listing.Path, Description: listing.Description}
		if err != nil {
			p := env.diagnose(err)
			m.Problem = &readerProblem{p.Code, p.Error(), p.Try}
		}
		list.Modules = append(list.Modules, m)
		for _, t := range listing.Tokens {
			if env.flags.serial == "" || hasSerial(t.Serial, env.flags.serial) {
				list.Tokens = append(list.Tokens, listedToken{listing.Path, t})
			}
		}
	}
	return list, nil
}

// longestModule is what a module may take where nobody named it.
const longestModule = 5 * time.Second

// listModule lists one of so many modules; one that hangs leaves time for the
// others.
func (env *Env) listModule(ctx context.Context, name string, of int) (p11.Listing, error) {
	if env.flags.module == "" {
		longest := longestModule
		if all := env.flags.timeout; all > 0 {
			longest = min(longest, all/time.Duration(of+1))
		}
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, longest)
		defer stop()
	}
	return p11.ListTokens(ctx, name)
}

// moduleNames is the module that --module names, else every one that is known
// and can be loaded without harm.
func (env *Env) moduleNames() []string {
	if env.flags.module != "" {
		return []string{env.flags.module}
	}
	var names []string
	places := p11.DefaultPlaces()
	for _, m := range places.Installed() {
		if !takesCard(m.Path) {
			names = append(names, m.Path)
		}
	}
	return append(names, places.Missing()...)
}

// takesCard is for Scute: loading it starts GnuPG's agent, which takes the card
// to itself.
func takesCard(module string) bool { return strings.Contains(filepath.Base(module), "scute") }

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
				tokenText(s, &l.Tokens[n].Token)
			}
		}
	}
}

func tokenText(s *output.Sheet, t *p11.Token) {
	s.Heading(cmp.Or(t.Label, "(no label)"))
	s.Field("in", t.SlotDescription)
	s.Field("model", strings.TrimSpace(t.Manufacturer+" "+t.Model))
	s.Field("serial", t.Serial)
	if t.Initialized {
		s.Field("user PIN", fmt.Sprintf("%s, %d to %d bytes", t.UserPIN, t.MinPINLength, t.MaxPINLength))
		s.Field("SO PIN", t.SOPIN.String())
	} else {
		s.Field("state", "not initialised, without PINs")
	}
	names := make([]string, len(t.Mechanisms))
	for i, m := range t.Mechanisms {
		names[i] = m.Name
	}
	s.Field("mechanisms", strings.Join(names, ", "))
	s.Field("URI", t.URI)
}
