package setup

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// ownDaemon is the name by which cardctl is a card daemon for GnuPG; packagedDaemon is
// where packages have it.
const (
	ownDaemon      = "cardctl-scd"
	packagedDaemon = "/usr/lib/cardctl/" + ownDaemon
)

// daemonIn is the path of the card daemon that reaches the agent: that of the packages,
// or else a link in a directory.
func (j *job) daemonIn(dir string) (path string, isLink bool) {
	if path = j.Root + packagedDaemon; find(path) != "" {
		return path, false
	}
	return filepath.Join(dir, ownDaemon), true
}

// daemonOfTrial is the setting of a trial that reaches the agent.
func (j *job) daemonOfTrial(dir string) (setting string, err error) {
	path, isLink := j.daemonIn(dir)
	if isLink {
		own, err := os.Executable()
		if err == nil {
			err = os.Symlink(own, path)
		}
		if err != nil {
			return "", problem.Wrap(problem.Failed, err, "cannot start the card daemon")
		}
	}
	return daemonOption + " " + path + "\n", nil
}

// keysOfAgent asks the agent for the keys of the card.
func (j *job) keysOfAgent(ctx context.Context) (*cardKeys, error) {
	if err := j.sameUser(); err != nil {
		return nil, err
	}
	if err := j.key.Leave(); err != nil {
		return nil, err
	}
	settings, err := j.daemonEntries()
	if err != nil {
		return nil, err
	}
	found := &cardKeys{settings: settings}
	if err := j.learn(ctx, found, nil); err != nil {
		return nil, err
	}
	if !found.has(j.key) {
		return nil, found.unknown(j.key)
	}
	return found, nil
}

// daemonEntries have GnuPG's agent start the card daemon that reaches the agent.
func (j *job) daemonEntries() (entries []entry, err error) {
	path, isLink := j.daemonIn(filepath.Join(j.Dir, "gnupg-"+digest([]byte(j.gnupgHome()), 6)))
	if isLink {
		own, err := os.Executable()
		if err != nil {
			return nil, problem.Wrap(problem.Failed, err, "cannot find cardctl")
		}
		entries = append(entries, &programLink{Path: path, Target: own, Config: j.agentConfig()})
	}
	return append(entries, &file{Path: j.agentConfig(), Mode: 0o600, Block: &block{
		Name: j.target.name, Comment: "#", Content: daemonOption + " " + path + "\n", Over: []string{daemonOption},
	}}), nil
}

// afterGnuPG are the commands that a person types after files of GnuPG changed, and what
// has to be known of the card.
func (j *job) afterGnuPG() (next, notes []string) {
	if j.Agent {
		return endAgent(), j.agentNotes()
	}
	return readAgain(), []string{afterOthers()}
}

// byOwnDaemon refuses to work by GnuPG's own card daemon, if its agent has another.
func (j *job) byOwnDaemon() error {
	now, err := readFile(j.agentConfig())
	if err != nil {
		return err
	}
	settings := settingsOf(string(now), daemonOption)
	other, undo := "", advice.Advice{}
	switch {
	case strings.Contains(settings, pkcs11Daemon):
		other, undo = pkcs11Daemon, setUp(pkcs11Daemon, advice.Switch(advice.Undo))
	case strings.Contains(settings, ownDaemon):
		other, undo = ownDaemon, advice.Repeat(advice.Switch(advice.Agent))
	default:
		return nil
	}
	return problem.New(problem.NotSupported, "GnuPG uses %s here", other).
		Because("%s names it. %s needs GnuPG's own card daemon.", j.agentConfig(), j.target.name).
		Advise(undo)
}
