package main

import (
	"errors"
	"io"

	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/secret"
)

// desk is where the cards are, and the one that the flags mean.
func (env *session) desk() *desk.Desk {
	children := env.childEnv
	if children == nil {
		source, _ := env.flags.ledgerPassword.Source(secret.LedgerPassword) // who needs it hears what is wrong with it
		children = secret.FilterEnv(env.Environ, source)
	}
	d := &desk.Desk{
		OpenReaders: env.yielding(), Simulated: env.simulated(), Modules: env.modules,
		Timeout: env.flags.timeout, Identify: inventory.Serials, Trace: env.traceTo(),
		ChildEnv: children, RunProgram: env.programs, StateDir: env.stateDir, Detail: env.detail,
		Seen:     env.there,
		NotLetGo: func(err error) { env.notLetGo = errors.Join(env.notLetGo, notLetGo(err)) },
		Kept:     &env.kept,
		Meant: desk.Selection{
			Reader: env.flags.reader, Serial: env.flags.serial, Module: env.flags.module, App: env.flags.app,
			ReaderTyped: env.line.Given("reader"), ModuleTyped: env.line.Given("module"), AppTyped: env.line.Given("app"),
		},
	}
	if r := env.recorder(); r != nil {
		d.Recorder = r
	}
	return d
}

// yielding reaches PC/SC, and has an agent let go of the cards that are wanted.
func (env *session) yielding() desk.OpenReaders {
	socket, err := env.controlSocket()
	if err != nil {
		return env.openReaders
	}
	return service.Yielding(env.openReaders, socket)
}

// traceTo is where the trace of a card goes; nil for nowhere.
func (env *session) traceTo() io.Writer {
	if env.trace == nil {
		return nil
	}
	return env.trace
}

// simulated are the simulated cards: those of this user, if there are no others.
func (env *session) simulated() desk.Simulated {
	if env.cards != nil {
		return env.cards
	}
	return env.store()
}

// store is where simulated cards are kept.
func (env *session) store() *desk.SimulatedStore {
	return &desk.SimulatedStore{Wait: env.flags.timeout, Dir: func() (string, error) { return env.stateOf("sim") }}
}

// tokenFlag says which token is meant.
type tokenFlag struct{ token string }

func (f *tokenFlag) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.token, "token", "", "PKCS#11 token: its `label` or its URI")
}

// desk is that of a command with this flag.
func (f *tokenFlag) desk(env *session) *desk.Desk {
	d := env.desk()
	d.Meant.Token = f.token
	return d
}
