package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// secretFlags are the flags of one command that say where its secrets come
// from.
type secretFlags struct {
	sources              map[secret.Name]*secret.Flag
	given                map[secret.Name]*pflag.Flag
	order                []secret.Name
	lastTry, untoldTries bool
}

// add makes a flag for each name; usage says which secret it is.
func (s *secretFlags) add(flags *pflag.FlagSet, name secret.Name, usage string) {
	if s.sources == nil {
		s.sources, s.given = map[secret.Name]*secret.Flag{}, map[secret.Name]*pflag.Flag{}
	}
	s.sources[name] = new(secret.Flag)
	flags.Var(s.sources[name], string(name), "source of the "+usage)
	s.given[name] = flags.Lookup(string(name))
	s.order = append(s.order, name)
}

// addManagementKey is for commands that write to a PIV card.
func (s *secretFlags) addManagementKey(flags *pflag.FlagSet) {
	s.addNamed(flags, secret.ManagementKey, "management key of a PIV card", secret.FactoryValue, secret.StoredOnCard)
}

// addNamed is add for a secret of which some values have names.
func (s *secretFlags) addNamed(flags *pflag.FlagSet, name secret.Name, usage string, words ...string) {
	s.add(flags, name, usage+", or "+strings.Join(words, " or "))
	s.sources[name].Words = words
}

// addLastTry is for commands that send a PIN which has a counter.
func (s *secretFlags) addLastTry(flags *pflag.FlagSet) {
	flags.BoolVar(&s.lastTry, "allow-last-try", false, "send a PIN even if only one try is left")
	flags.BoolVar(&s.untoldTries, "allow-unknown-tries", false, "send a PIN even if the tries left are unknown")
}

// named are the secrets whose flags were given, in the order of the help.
func (s *secretFlags) named() []secret.Name {
	var names []secret.Name
	for _, name := range s.order {
		if s.flagGiven(name) {
			names = append(names, name)
		}
	}
	return names
}

// inEnvironment are the secrets whose variables are set.
func (s *secretFlags) inEnvironment(env *session) []secret.Name {
	var names []secret.Name
	for _, name := range s.order {
		if env.Getenv(name.Variable()) != "" {
			names = append(names, name)
		}
	}
	return names
}

// flagGiven reports whether a flag was given for the secret.
func (s *secretFlags) flagGiven(name secret.Name) bool { return s.given[name].Changed }

// readsStdin reports whether a secret comes from stdin.
func (s *secretFlags) readsStdin() bool {
	for name, f := range s.sources {
		if source, err := f.Source(name); err == nil && source.Stdin() {
			return true
		}
	}
	return false
}

// resolver finds secrets, so far without sources.
func (env *session) resolver() *secret.Resolver {
	return &secret.Resolver{
		Sources: map[secret.Name]secret.Source{},
		Env:     env.Environ, Stdin: env.In, Stderr: env.Err, Descriptors: env.Descriptors,
		Terminal: env.terminal, NoInput: env.flags.noInput,
	}
}

// resolver checks the flags and returns what finds the secrets.
func (s *secretFlags) resolver(env *session) (*secret.Resolver, error) {
	r := env.resolver()
	for name, f := range s.sources {
		source, err := f.Source(name)
		if err != nil {
			return nil, err
		}
		r.Sources[name] = source
	}
	source, err := env.flags.ledgerPassword.Source(secret.LedgerPassword)
	if err != nil {
		return nil, err
	}
	r.Sources[secret.LedgerPassword] = source
	env.childEnv = r.ChildEnv()
	env.withhold(env.childEnv)
	return r, nil
}

// asker checks the flags and returns what hands out the secrets, having shown
// what a person has to know before one is sent: the tries left.
func (s *secretFlags) asker(env *session) (secret.Asker, error) {
	r, err := s.resolver(env)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
		if f := s.sources[q.Name]; f != nil && f.Word() != "" {
			return secret.New([]byte(f.Word())), nil // who asks knows the value
		}
		env.progress.Done()
		prompted := []string{"prompt", "pinentry"}
		source := r.Sources[q.Name].String()
		quiet := source == "" && env.Getenv(q.Name.Variable()) == "" || slices.Contains(prompted, source)
		if q.Note != "" && !q.New && !quiet {
			env.note("%s: %s", q.Label, q.Note)
			env.progress.Done()
		}
		defer env.working()
		return r.Ask(ctx, q)
	}, nil
}

// access is what a workflow needs of the person at the desk.
func (s *secretFlags) access(env *session) (desk.Access, error) {
	ask, err := s.asker(env)
	if err != nil {
		return desk.Access{}, err
	}
	return s.asking(env, ask), nil
}

// asking is access where the secrets come from ask.
func (s *secretFlags) asking(env *session, ask secret.Asker) desk.Access {
	return desk.Access{
		Ask: ask, Confirm: env.confirm, AllowLastTry: s.lastTry, AllowUnknownTries: s.untoldTries,
		Now: env.Now, Notify: env.progress.Show,
	}
}

// publicKeyFlag is --public-key.
func publicKeyFlag(flags *pflag.FlagSet, file *string) {
	flags.StringVar(file, "public-key", "", "`file` with the public key, for a card that does not report it")
}

// readPublicKey reads what --public-key names.
func (env *session) readPublicKey(ctx context.Context, file string, a *desk.Access) error {
	const longest = 1 << 14
	if file == "" {
		return nil
	}
	data, err := env.readFile(ctx, file, longest)
	if err == nil {
		a.PublicKey, err = pubkey.Read(data)
	}
	if errors.Is(err, pubkey.ErrNotPublic) {
		return problem.Wrap(problem.Mismatch, err, "cannot use "+file).Because("It is not a public key in PEM or DER.").
			Advise(advice.Run("file", file))
	}
	return err
}

// keyFlag is --key.
func keyFlag(flags *pflag.FlagSet, reference *string) {
	flags.StringVarP(reference, "key", "k", "", "`reference` of the key, such as OPENPGP.3")
}

// parseKeyAccess reads --key, and the flags that say how to get at it.
func (env *session) parseKeyAccess(ctx context.Context, reference string, s *secretFlags) (string, desk.Access, error) {
	ref, err := env.parseKey(ctx, reference)
	if err != nil {
		return ref, desk.Access{}, err
	}
	if err := s.takePINSource(ref); err != nil {
		return ref, desk.Access{}, err
	}
	access, err := s.access(env)
	return ref, access, err
}

// takePINSource takes the source of the PIN from a reference that has one, if there is
// no flag.
func (s *secretFlags) takePINSource(ref string) error {
	source, err := inventory.PINSource(ref)
	if flag := s.sources[secret.PIN]; err == nil && source != "" && flag != nil && !s.flagGiven(secret.PIN) {
		return flag.Set(source)
	}
	return err
}

// parseKey reads --key and lets errors name the key. Where it is missing, a
// person at the terminal may choose.
func (env *session) parseKey(ctx context.Context, reference string) (string, error) {
	if reference == "" {
		var err error
		if reference, err = env.chooseKey(ctx); err != nil {
			return "", err
		}
	}
	ref, err := inventory.ParseReference(reference)
	if err != nil {
		return "", err
	}
	env.line.Object = ref
	return ref, nil
}

// oneReader refuses two flags that would read stdin.
func oneReader(s *secretFlags, file string) error {
	if file == "-" && s.readsStdin() {
		return problem.New(problem.Usage, "stdin cannot supply both a file and a secret").
			Because("FILE is -, and the source of a secret is stdin too.").Advise(advice.Repeat())
	}
	return nil
}
