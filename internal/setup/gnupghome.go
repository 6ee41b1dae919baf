package setup

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// gnupgHome is the directory of GnuPG's files.
func (o *Options) gnupgHome() string {
	return cmp.Or(o.directory("GNUPGHOME"), filepath.Join(o.Home, ".gnupg"))
}

// agentConfig is the configuration of GnuPG's agent.
func (o *Options) agentConfig() string { return filepath.Join(o.gnupgHome(), "gpg-agent.conf") }

// cardDaemon is GnuPG's, which programs reach through its agent.
func cardDaemon() program {
	return program{names: []string{"scdaemon"}, pack: "scdaemon", files: "/usr/lib*/gnupg/scdaemon"}
}

// cardKeys is what GnuPG's card daemon shows of a card, and the settings with which it
// does.
type cardKeys struct {
	settings []entry
	// stubs are the files by which the agent finds the keys on the card.
	stubs map[string][]byte
	// report has the lines that the agent sent.
	report []string
}

// cardKeys asks GnuPG's card daemon for the keys of the card. If it uses another reader,
// it gets the name of the right one.
func (j *job) cardKeys(ctx context.Context) (*cardKeys, error) {
	if err := j.installed(); err != nil {
		return nil, err
	}
	if j.Agent {
		return j.keysOfAgent(ctx)
	}
	if err := j.byOwnDaemon(); err != nil {
		return nil, err
	}
	if err := j.key.Leave(); err != nil {
		return nil, err
	}
	settings := "disable-ccid\npcsc-shared\n"
	found, err := j.cardKeysWith(ctx, settings)
	if err != nil {
		return nil, err
	}
	if !found.has(j.key) && j.key.Reader != "" {
		if found, err = j.cardKeysWith(ctx, settings+"reader-port "+j.key.Reader+"\n"); err != nil {
			return nil, err
		}
	}
	switch {
	case !found.has(j.key):
		return nil, found.unknown(j.key)
	case slices.Contains(found.report, "S APPTYPE p15"):
		return nil, problem.New(problem.NotSupported, "GnuPG cannot sign with %s", j.key.Ref).
			Because("It shows the keys of such a card, but its commands are not those of the card.").Advise(withGnuPG(j.key))
	}
	return found, nil
}

func (j *job) cardKeysWith(ctx context.Context, settings string) (*cardKeys, error) {
	own := &file{Path: filepath.Join(j.gnupgHome(), "scdaemon.conf"), Mode: 0o600, Block: &block{Name: j.target.name, Comment: "#", Content: settings}}
	now, err := readFile(own.Path)
	if err != nil {
		return nil, err
	}
	with, err := own.Block.apply(now)
	if err != nil {
		return nil, own.unparsable(err)
	}
	found := &cardKeys{settings: []entry{own}}
	return found, j.learn(ctx, found, map[string][]byte{"scdaemon.conf": with})
}

// learn has the agent of a trial with these files ask its card daemon for the keys.
func (j *job) learn(ctx context.Context, found *cardKeys, files map[string][]byte) error {
	g, err := j.gnupgTrial()
	if err != nil {
		return err
	}
	defer g.close(ctx)
	for name, content := range files {
		if err := g.put(name, content); err != nil {
			return err
		}
	}
	text, err := g.ask(ctx, asTyped("learn", "--sendinfo"))
	if err != nil {
		return err
	}
	found.report = strings.Split(strings.TrimSpace(text), "\n")
	found.stubs = map[string][]byte{}
	stubs, err := filepath.Glob(g.path("private-keys-v1.d/*.key"))
	for _, path := range stubs {
		if found.stubs[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return unreadable(path, err)
		}
	}
	return err
}

// has reports whether the card daemon knows a key.
func (c *cardKeys) has(on *subject) bool {
	_, is := c.stubs[key.Keygrip(on.public)+".key"]
	return is
}

func (c *cardKeys) unknown(on *subject) error {
	because := "Its scdaemon shows other keys."
	if words := strings.Fields(c.report[len(c.report)-1]); len(words) > 2 && words[0] == "ERR" {
		because = "Its scdaemon reports: " + problem.Sentence(strings.Join(words[2:], " "))
	}
	return problem.New(problem.NotSupported, "GnuPG does not know %s", on.Ref).Because("%s", because).Advise(withGnuPG(on))
}

// entries are the settings, and the stubs of the keys.
func (c *cardKeys) entries(home string) (settings, stubs []entry) {
	names := make([]string, 0, len(c.stubs))
	for name := range c.stubs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		stubs = append(stubs, &file{Path: filepath.Join(home, "private-keys-v1.d", name), Mode: 0o600, Stub: &stub{string(c.stubs[name])}})
	}
	return c.settings, stubs
}

// asTyped is a command as it is typed.
func asTyped(words ...string) string { return strings.Join(words, " ") }

func endCardDaemon() string { return asTyped("gpgconf", "--kill", "scdaemon") }

// readAgain has the daemons of GnuPG read their files.
func readAgain() []string {
	return []string{asTyped("gpgconf", "--reload", "gpg-agent"), endCardDaemon()}
}

// afterOthers is what becomes of a card that GnuPG shares.
func afterOthers() string {
	return `After another program used the card, GnuPG may report "Bad PIN" or "General error", which uses up no try. Then type: ` + endCardDaemon()
}
