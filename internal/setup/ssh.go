package setup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

// sshClient has OpenSSH log in with the key. ssh_config(5) has the settings; of each,
// the first value counts.
func sshClient() target {
	return target{
		name:    "ssh",
		needs:   []program{{names: []string{"ssh"}, pack: "openssh-client"}},
		accepts: []Option{advice.User, advice.System, advice.URL, advice.Agent},
		parse:   parseSSH,
		plan:    planSSH,
		check:   checkSSH,
	}
}

func planSSH(ctx context.Context, j *job) (plan, error) {
	line, err := j.authorizedKey(ctx)
	if err != nil {
		return plan{}, err
	}
	hosts, err := j.hosts()
	if err != nil {
		return plan{}, err
	}
	public := &file{Path: filepath.Join(j.sshDir(), "cardctl-"+fileName(j.key.Ref)+".pub"), Mode: 0o644, Private: !j.System, Public: j.System, Whole: &whole{line}}
	settings := "Host " + strings.Join(hosts, " ") + "\n"
	p := plan{entries: []entry{public}, next: []string{"ssh-copy-id -f -i " + typed.Quoted(public.Path) + " HOST"}}
	switch own := j.ownSSHAgent(); {
	case own != "":
		settings += "    IdentityAgent " + quoted(literal(own)) + "\n"
		p.notes = j.agentNotes()
	case j.Agent:
		p.next = append([]string{"ssh-add -s " + typed.Quoted(j.key.module)}, p.next...)
	default:
		settings += "    PKCS11Provider " + quoted(j.key.module) + "\n"
	}
	if len(j.URLs) > 0 || j.Agent {
		// An IdentityFile takes the place of the keys that a person has in files.
		settings += "    IdentityFile " + quoted(literal(public.Path)) + "\n    IdentitiesOnly yes\n"
	}
	config := &file{Path: j.sshConfig(), Mode: 0o600, Block: &block{Name: "ssh", Comment: "#", Content: settings + "Host *\n", First: true}}
	if j.System {
		config.Mode, config.Public = 0o644, true
	}
	p.entries = append(p.entries, config)
	return p, nil
}

// ownSSHAgent is the socket of the running agent of cardctl, if the key is left to it: it
// serves the user who started it, and nobody else.
func (j *job) ownSSHAgent() string {
	if !j.Agent || j.System || j.User != "" {
		return ""
	}
	return j.socket("ssh")
}

// sshDir is where the files of OpenSSH's client are.
func (j *job) sshDir() string {
	if j.System {
		return j.Root + "/etc/ssh"
	}
	return filepath.Join(j.Home, ".ssh")
}

func (j *job) sshConfig() string {
	if j.System {
		return filepath.Join(j.sshDir(), "ssh_config.d/50-cardctl.conf")
	}
	return filepath.Join(j.sshDir(), "config")
}

// authorizedKey is the public key as a line of authorized_keys, sshd(8).
func (j *job) authorizedKey(ctx context.Context) (string, error) {
	public, err := ssh.NewPublicKey(j.key.public)
	if err != nil {
		return "", problem.New(problem.NotSupported, "OpenSSH has no key of this kind").
			Because("%s", problem.Sentence(err.Error())).Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
	}
	if err := j.forSSH(ctx); err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(public)), "\n") + " " + j.key.Ref + "\n", nil
}

// hosts are the patterns of hosts for which the key is used.
func (j *job) hosts() ([]string, error) {
	for _, pattern := range j.URLs {
		if pattern == "" || strings.ContainsAny(pattern, " \"'\\#,") || strings.ContainsFunc(pattern, unicode.IsControl) || strings.HasPrefix(pattern, "-") {
			return nil, problem.New(problem.Usage, "not a pattern of hosts: %q", pattern).
				Because("Such as: *.example.com").Advise(advice.Repeat(advice.Set(advice.URL, "*.example.com")))
		}
	}
	switch {
	case len(j.URLs) == 0:
		return []string{"*"}, nil
	case !slices.ContainsFunc(j.URLs, included):
		return nil, problem.New(problem.Usage, "the patterns name no host").
			Because("A pattern with ! only takes hosts out of those of other patterns.").Advise(advice.Repeat(advice.Set(advice.URL, "*,"+j.URLs[0])))
	}
	return j.URLs, nil
}

// included reports whether a pattern names hosts, instead of taking some out.
func included(pattern string) bool { return !strings.HasPrefix(pattern, "!") }

// quoted is a word of ssh_config.
func quoted(word string) string {
	if strings.ContainsAny(word, " \t\"'\\#=") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
	}
	return word
}

// literal is a path in which ssh expands nothing.
func literal(path string) string { return strings.ReplaceAll(path, "%", "%%") }

// fileName is a name for a file of a key, of up to 64 bytes.
func fileName(ref string) string {
	name := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, ref)
	if len(name) > 64 {
		name = name[:48] + digest([]byte(ref), 8)
	}
	return name
}

// parseSSH has ssh read the configuration that there is.
func parseSSH(ctx context.Context, j *job) error {
	path := j.sshConfig()
	if j.System {
		path = filepath.Join(j.sshDir(), "ssh_config")
	}
	return j.parsed(ctx, path, "ssh", "-G", "-F", path, "-o", "CanonicalizeHostname=no", "--", "cardctl")
}

// endsAgent ends the agent with the command that it runs. By itself it would keep the card
// for ten seconds longer.
const endsAgent = `trap 'kill "$SSH_AGENT_PID"' EXIT; `

// checkSSH logs in to a server on loopback that accepts this key alone.
func checkSSH(ctx context.Context, j *job) (string, error) {
	server, err := newSSHServer(j.key.public)
	if err != nil {
		return "", err
	}
	defer server.close()
	args := []string{"-p", server.port, "-o", "HostName=127.0.0.1", "-o", "HostKeyAlias=cardctl"}
	for _, option := range []string{
		"StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null", "LogLevel=ERROR",
		"PreferredAuthentications=publickey", "ControlPath=none", "ProxyCommand=none", "ProxyJump=none",
		"CanonicalizeHostname=no", "RemoteCommand=none", "RequestTTY=no", "SessionType=default", "ConnectTimeout=30",
	} {
		args = append(args, "-o", option)
	}
	if !j.System {
		args = append(args, "-F", j.sshConfig()) // ssh itself does not follow HOME
	}
	hosts, err := j.hosts()
	if err != nil {
		return "", err
	}
	host := strings.NewReplacer("*", "cardctl", "?", "x").Replace(hosts[slices.IndexFunc(hosts, included)])
	args = append(args, "--", host, "true")
	if err := j.logIn(ctx, args); err != nil {
		return "", err
	}
	if !server.loggedIn() {
		return "", problem.New(problem.Failed, "ssh did not log in with the key")
	}
	return "ssh logs in to a server on this machine with the key, for the host " + host, nil
}

// logIn runs ssh, with the agent or the PIN that it needs.
func (j *job) logIn(ctx context.Context, args []string) (err error) {
	switch {
	case j.ownSSHAgent() != "":
		if err := j.key.Leave(); err != nil {
			return err
		}
		_, err = j.run(ctx, nil, "ssh", args...)
	case j.Agent:
		_, err = j.withPIN(ctx, nil, "ssh-agent", append([]string{"sh", "-c", endsAgent + `ssh-add -q -s "$0" && ssh "$@"`, j.key.module}, args...)...)
	default:
		_, err = j.withPIN(ctx, nil, "ssh", args...)
	}
	return err
}
