package setup

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

// The formats of signatures that git makes with keys on cards.
const (
	gitSSH  = "ssh"
	gitX509 = "x509"
)

// git signs commits and tags with the key. git-config(1) has the settings; of each, the
// last value counts.
func git() target {
	return target{
		name:    "git",
		needs:   []program{{names: []string{"git"}, pack: "git"}, {names: []string{"ssh-keygen"}, pack: "openssh-client"}},
		accepts: []Option{advice.User, advice.Format, advice.Agent},
		parse:   parseGit,
		plan:    planGit,
		check:   checkGit,
	}
}

func planGit(ctx context.Context, j *job) (plan, error) {
	switch j.Format {
	case "", gitSSH:
		return planGitSSH(ctx, j)
	case gitX509:
		return planGitX509(ctx, j)
	}
	return plan{}, problem.New(problem.Usage, "unknown format of signatures").
		Because("Valid formats: %s, %s.", gitSSH, gitX509).Advise(advice.Repeat(advice.Set(advice.Format, gitSSH)))
}

func planGitSSH(ctx context.Context, j *job) (plan, error) {
	line, err := j.authorizedKey(ctx)
	if err != nil {
		return plan{}, err
	}
	// Of an allowed signer, the name can be a pattern: git compares the key.
	signers := &file{Path: filepath.Join(j.config(), "cardctl/allowed_signers"), Mode: 0o644, Whole: &whole{"* namespaces=\"git\" " + line}}
	public := &file{Path: filepath.Join(j.config(), "cardctl/signing_key.pub"), Mode: 0o644, Whole: &whole{line}}
	settings := "[gpg]\n\tformat = ssh\n[gpg \"ssh\"]\n\tallowedSignersFile = " + gitQuoted(signers.Path) + "\n[user]\n\tsigningKey = " + gitQuoted(public.Path) + "\n"
	// What git itself writes into a section of this name must not come between ours.
	own := &file{Path: filepath.Join(j.config(), "cardctl/gitconfig"), Mode: 0o644, Whole: &whole{settings}}
	config := &file{Path: j.gitConfig(), Mode: 0o644, Block: &block{Name: "git", Comment: "#", Content: "[include]\n\tpath = " + gitQuoted(own.Path) + "\n"}}
	p := plan{
		entries: []entry{public, signers, own, config},
		next:    []string{"ssh-add -s " + typed.Quoted(j.key.module), "git commit -S"},
		notes:   []string{"git asks ssh-agent for the signature: load the module into the agent first."},
	}
	if agent := j.ownSSHAgent(); agent != "" {
		p.next[0], p.notes = "export SSH_AUTH_SOCK="+typed.Quoted(agent), j.agentNotes()
	}
	return p, nil
}

// gitConfig is the file that git reads for a user: the one in the home directory, if it
// is there or the other is not, and no variable names another.
func (j *job) gitConfig() string {
	if named := j.getenv("GIT_CONFIG_GLOBAL"); filepath.IsAbs(named) {
		return named
	}
	home, xdg := filepath.Join(j.Home, ".gitconfig"), filepath.Join(j.config(), "git/config")
	if _, err := os.Lstat(home); err != nil {
		if _, err := os.Lstat(xdg); err == nil {
			return xdg
		}
	}
	return home
}

// parseGit has git read the configuration that there is.
func parseGit(ctx context.Context, j *job) error {
	return j.parsed(ctx, j.gitConfig(), "git", "config", "--file", j.gitConfig(), "--list")
}

// gitQuoted is a value of git's configuration.
func gitQuoted(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// checkGit signs a commit in a repository of its own, and verifies it.
func checkGit(ctx context.Context, j *job) (saw string, err error) {
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	repository := []string{
		"GIT_DIR=" + filepath.Join(dir, "git"), "GIT_CONFIG_GLOBAL=" + j.gitConfig(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=cardctl", "GIT_AUTHOR_EMAIL=cardctl@localhost", "GIT_COMMITTER_NAME=cardctl", "GIT_COMMITTER_EMAIL=cardctl@localhost",
	}
	if _, err := j.run(ctx, repository, "git", "init", "--quiet", "--bare"); err != nil {
		return "", err
	}
	tree, err := j.run(ctx, repository, "git", "hash-object", "-t", "tree", "-w", "--stdin")
	if err != nil {
		return "", err
	}
	tree = strings.TrimSpace(tree)
	if j.Format == gitX509 {
		err = j.commitByGPGSM(ctx, repository, tree)
	} else {
		err = j.commitBySSH(ctx, repository, tree)
	}
	return "git signs a commit with the key, and verifies it", err
}

func (j *job) commitBySSH(ctx context.Context, repository []string, tree string) error {
	var commit string
	var err error
	if agent := j.ownSSHAgent(); agent != "" {
		err = j.sendPIN(ctx, func(ctx context.Context, _ *secret.Bytes) (err error) {
			commit, err = j.run(ctx, append(repository, "SSH_AUTH_SOCK="+agent), "git", "commit-tree", "-S", "-m", "check", tree)
			return err
		})
	} else {
		const sign = endsAgent + `ssh-add -q -s "$0" && git commit-tree -S -m check "$1"`
		commit, err = j.withPIN(ctx, repository, "ssh-agent", "sh", "-c", sign, j.key.module, tree)
	}
	if err != nil {
		return err
	}
	return j.verifyCommit(ctx, repository, commit)
}

func (j *job) verifyCommit(ctx context.Context, repository []string, commit string) error {
	_, err := j.run(ctx, repository, "git", "verify-commit", strings.TrimSpace(commit))
	return err
}
