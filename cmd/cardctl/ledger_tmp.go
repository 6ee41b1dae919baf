package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
)

// identityFlag is --identity. (The commands of the ledger will have it.)
type identityFlag struct{ file string }

func (f *identityFlag) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.file, "identity", "", "`file` with the age identity that opens sealed secrets")
}

func (env *session) plugins(ctx context.Context) ledger.UI { return ledger.UI{} }

func (f *identityFlag) read(ctx context.Context, env *session) (ledger.Keys, error) {
	content, err := env.readFile(ctx, f.file, 1<<16)
	if err != nil {
		return nil, err
	}
	return ledger.Identities(secret.New(content), env.plugins(ctx))
}

func (env *session) openLedger(ctx context.Context, o ledger.Options) (*ledger.Ledger, error) {
	dir, err := env.stateDir()
	if err != nil {
		return nil, err
	}
	o.Now = env.Now
	return ledger.Open(ctx, "sqlite:"+filepath.Join(dir, "ledger.db"), o)
}

func (env *session) resolver() *secret.Resolver {
	return &secret.Resolver{
		Sources: map[secret.Name]secret.Source{},
		Env:     env.Environ, Stdin: env.In, Stderr: env.Err, Descriptors: env.Descriptors,
		Terminal: env.terminal, NoInput: env.flags.noInput,
	}
}
