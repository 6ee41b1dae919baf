package main

import (
	"context"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type agentOptions struct {
	foreground  bool
	stdio       string
	p11Socket   string
	pinCache    string
	cacheAlways bool
	confirm     bool
	idle        time.Duration
	p11Login    bool
	modules     []string
	secrets     secretFlags
}

func newAgentCmd(env *session) *cobra.Command {
	var o agentOptions
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Hold the card for all programs at once",
		Long: `Hold cards and tokens in one process, so that every program uses them at once:
through PKCS#11 with p11-kit-client.so, as an SSH agent, and as GnuPG's
scdaemon. pinentry asks for the PIN, once for all programs; none of them sees
it. A card is released --idle-release after its last use.

Without --foreground, the agent goes to the background when its sockets are
there. They are in $XDG_RUNTIME_DIR/cardctl: p11, ssh and scd.`,
		Example: `  cardctl agent
  export SSH_AUTH_SOCK=$XDG_RUNTIME_DIR/cardctl/ssh
  cardctl agent status
  cardctl agent stop`,
		Args: typed.KnownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAgent(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.foreground, "foreground", false, "stay in the foreground, until you press Ctrl-C")
	flags.StringVar(&o.stdio, "stdio", "", "serve one program on stdin and stdout: `p11` or scd")
	flags.StringVar(&o.p11Socket, "p11-socket", "", "one more `socket` for PKCS#11 (default that of p11-kit, if nobody has it)")
	flags.StringVar(&o.pinCache, "pin-cache", "10m", "how long the PIN is kept: a `time`, removal (of the card) or none")
	flags.BoolVar(&o.cacheAlways, "cache-always", false, "keep the PIN for keys that want it for each use, too")
	flags.BoolVar(&o.confirm, "confirm", false, "have pinentry ask before each use of a key")
	flags.DurationVar(&o.idle, "idle-release", 2*time.Second, "release the card this `time` after its last use")
	flags.BoolVar(&o.p11Login, "p11-login", false, "tell PKCS#11 programs that a login is needed")
	flags.StringSliceVar(&o.modules, "token-module", nil, "hold the tokens of this PKCS#11 `module`, too (repeatable)")
	o.secrets.add(flags, secret.PIN, "user PIN (default pinentry)")
	o.secrets.addLastTry(flags)
	cmd.AddCommand(newAgentStatusCmd(env), newAgentLockCmd(env), newAgentReleaseCmd(env), newAgentStopCmd(env))
	return cmd
}

func runAgent(ctx context.Context, env *session, o *agentOptions) error {
	keeping, err := o.keeping(env)
	if err != nil {
		return err
	}
	switch o.stdio {
	case "":
	case service.P11, service.SCD:
		return o.serveStdio(ctx, env, keeping)
	default:
		return problem.New(problem.Usage, "--stdio %s: there is no such door", o.stdio).Because("Valid: p11, scd.").Advise(advice.Do(advice.Help))
	}
	dir, err := env.runtimeDir()
	if err != nil {
		return err
	}
	if !o.foreground {
		return env.inBackground(ctx, dir)
	}
	inherited, err := service.Inherited(env.Getenv)
	if err != nil {
		return err
	}
	if err := settle(); err != nil {
		return err
	}
	s := service.New(agent.New(keeping), service.Options{
		Dir: dir, P11Socket: o.p11SocketOf(env), P11Wanted: o.p11Socket != "", Inherited: inherited, NeedsLogin: o.p11Login,
		Version: version, Certificates: env.sshCertificates(), Log: keeping.Log, Ready: env.tellSockets,
	})
	return s.Run(ctx)
}

// settle prepares the process for holding cards: it keeps its secrets to itself. It waits
// for cards and programs, and one thread that hands everything on is faster than several.
func settle() error {
	runtime.GOMAXPROCS(1)
	return secret.Guard()
}

// keeping is how cards are held.
func (o *agentOptions) keeping(env *session) (agent.Options, error) {
	resolver, err := o.secrets.resolver(env)
	if err != nil {
		return agent.Options{}, err
	}
	if !o.secrets.flagGiven(secret.PIN) {
		if resolver.Sources[secret.PIN], err = secret.ParseSource("pinentry"); err != nil {
			return agent.Options{}, err
		}
	}
	source := resolver.Sources[secret.PIN]
	if o.stdio != "" && source.Stdin() || o.stdio == "" && !o.foreground && source.Inherited() {
		return agent.Options{}, problem.New(problem.Usage, "--pin %s: the agent cannot read the PIN from there", source).
			Because("With --stdio, a program has stdin; in the background, stdin, descriptors and the terminal are gone.").Advise(advice.Do(advice.Help))
	}
	own := env.desk()
	own.OpenReaders = env.openReaders // it does not ask itself
	k := agent.Options{
		Desk: own, Modules: o.modules, Access: o.secrets.asking(env, resolver.Ask), CacheAlways: o.cacheAlways, Idle: o.idle,
		Log: func(err error) { env.note("%s", err.Error()); env.progress.Done() },
	}
	if o.confirm {
		k.Confirm = func(ctx context.Context, by agent.Client, key string) error {
			return resolver.Confirm(ctx, by.Asks("use "+key)+"\nAllow it?")
		}
	}
	switch o.pinCache {
	case "none":
	case "removal":
		k.Cache = agent.Removal
	default:
		if k.Cache, err = time.ParseDuration(o.pinCache); err != nil || k.Cache <= 0 {
			return k, problem.New(problem.Usage, "--pin-cache %s: not a time", o.pinCache).
				Because("Valid: a time such as 10m, removal, none.").Advise(advice.Do(advice.Help))
		}
	}
	if o.idle <= 0 {
		return k, problem.New(problem.Usage, "--idle-release %s: a time of more than 0 is needed", o.idle).Advise(advice.Do(advice.Help))
	}
	return k, nil
}

// p11SocketOf is where p11-kit-client.so looks for a server, or what was typed.
func (o *agentOptions) p11SocketOf(env *session) string {
	if dir := env.Getenv("XDG_RUNTIME_DIR"); o.p11Socket == "" && filepath.IsAbs(dir) {
		return filepath.Join(dir, "p11-kit/pkcs11")
	}
	return o.p11Socket
}

// serveStdio serves the program that started this one: through the agent that runs, or
// else alone.
func (o *agentOptions) serveStdio(ctx context.Context, env *session, keeping agent.Options) error {
	stdio := struct {
		io.Reader
		io.Writer
	}{env.In, env.Out}
	if dir, err := env.runtimeDir(); err == nil {
		if passed, err := service.PassOn(ctx, filepath.Join(dir, o.stdio), stdio); passed {
			return err
		}
	}
	if err := settle(); err != nil {
		return err
	}
	return service.Alone(ctx, agent.New(keeping), service.Options{NeedsLogin: o.p11Login, Version: version}, o.stdio, stdio)
}

// runtimeDir is where the sockets of the agent are. A relative directory is none (XDG Base
// Directory Specification): every program has another one.
func (env *session) runtimeDir() (string, error) {
	if dir := env.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "cardctl"), nil
	}
	return env.stateOf("run")
}

// controlSocket is where other commands talk to the agent.
func (env *session) controlSocket() (string, error) {
	dir, err := env.runtimeDir()
	return filepath.Join(dir, service.Control), err
}

// agentLog is where an agent in the background writes what goes wrong.
func (env *session) agentLog() (string, error) { return env.stateOf("agent.log") }

// sshCertificates is where OpenSSH certificates for keys on cards are.
func (env *session) sshCertificates() string {
	dir, err := env.stateOf("ssh")
	if err != nil {
		return ""
	}
	return dir
}

// tellSockets says where programs reach the agent.
func (env *session) tellSockets(sockets map[string]string) error {
	document := struct {
		Sockets map[string]string `json:"sockets"`
	}{sockets}
	return env.result("Agent", document, func(s *output.Sheet) {
		s.Heading("The agent holds the cards")
		for _, door := range service.Doors() {
			if sockets[door] != "" {
				s.Field(door, sockets[door])
			}
		}
	})
}
