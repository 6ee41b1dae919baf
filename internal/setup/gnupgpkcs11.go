package setup

import (
	"cmp"
	"context"
	"crypto/rsa"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const (
	// pkcs11Daemon takes the place of GnuPG's own card daemon, and shows keys of PKCS#11
	// modules.
	pkcs11Daemon       = "gnupg-pkcs11-scd"
	pkcs11DaemonConfig = pkcs11Daemon + ".conf"
	// daemonOption names the card daemon in the configuration of the agent.
	daemonOption = "scdaemon-program"
)

// onlyRSA is what the older ways to a card cannot do.
const onlyRSA = "RSA keys only"

// gnupgPKCS11 has gpg and gpgsm use the keys of a PKCS#11 module.
func gnupgPKCS11() target {
	return target{
		name: pkcs11Daemon,
		needs: []program{
			{names: []string{pkcs11Daemon}, pack: pkcs11Daemon}, gpgsmProgram(),
			{names: []string{"gpg"}, pack: "gpg"}, {names: []string{"gpg-agent"}, pack: "gpg-agent"},
		},
		accepts:  []Option{advice.User, advice.CA, advice.DeleteAdopted},
		variable: "GNUPGHOME",
		limits:   onlyRSA,
		plan:     planGnuPGPKCS11,
		check:    checkGnuPGPKCS11,
	}
}

func planGnuPGPKCS11(ctx context.Context, j *job) (plan, error) {
	switch _, is := j.key.public.(*rsa.PublicKey); {
	case !is:
		return plan{}, problem.New(problem.NotSupported, "%s does not use the key %s", pkcs11Daemon, j.key.Ref).
			Because("It uses RSA keys only. GnuPG's own card daemon uses some of the others: setup gpg, setup gpgsm.").
			Advise(generateRSA())
	case j.key.certificate == nil:
		return plan{}, problem.New(problem.NotFound, "there is no certificate for %s", j.key.Ref).
			Because("%s shows keys by their certificates.", pkcs11Daemon).Advise(importCertificate(j.key.Ref))
	}
	certificates, err := j.key.Beside(ctx)
	if err != nil {
		return plan{}, err
	}
	settings := j.pkcs11Daemon()
	found, err := j.tokenKeys(ctx, settings)
	if err != nil {
		return plan{}, err
	}
	owner := cmp.Or(ownerOf(j.key.certificate), plain(j.key.certificate.Subject.String()), j.key.Ref)
	adopted := j.adopting(func(ctx context.Context, g *gnupgTrial, pin *secret.Bytes) (string, error) {
		return g.adoptToken(ctx, owner, found, pin)
	})
	adopted.Keygrip = key.Keygrip(j.key.public)
	_, stubs := found.entries(j.gnupgHome())
	certificates = append([]*cert.Certificate{j.key.certificate}, certificates...)
	return plan{
		entries: slices.Concat([]entry{settings[0], settings[1]}, j.certificateEntries(certificates), []entry{adopted}, stubs),
		next:    endAgent(), undone: endAgent(),
		notes: []string{
			pkcs11Daemon + " takes the place of GnuPG's own card daemon. What setup gpg and setup gpgsm set up in " + j.gnupgHome() + " works again when this is taken back.",
			pkcs11Daemon + " sends a wrong PIN three times if a program gives it instead of a person. That blocks most cards.",
			"The key that gpg adopts is that of " + owner + ", as the certificate tells.",
		},
	}, nil
}

// pkcs11Daemon are the configurations of the daemon, and of the agent that starts it.
func (j *job) pkcs11Daemon() [2]*file {
	const name = "cardctl"
	own := "# Written by cardctl setup.\nproviders " + name + "\nprovider-" + name + "-library " + j.key.module + "\n"
	agent := &block{
		Name: j.target.name, Comment: "#", Content: daemonOption + " " + find(pkcs11Daemon) + "\n", Over: []string{daemonOption},
	}
	return [2]*file{
		// Whole: attributes of another provider would be those of this one too.
		{Path: filepath.Join(j.gnupgHome(), pkcs11DaemonConfig), Mode: 0o600, Whole: &whole{own}},
		{Path: j.agentConfig(), Mode: 0o600, Block: agent},
	}
}

// endAgent ends the agent, which reads only when it starts which card daemon it has.
func endAgent() []string { return []string{asTyped("gpgconf", "--kill", "gpg-agent")} }

// tokenKeys asks the daemon for the keys of the card or token, with these settings.
func (j *job) tokenKeys(ctx context.Context, settings [2]*file) (*cardKeys, error) {
	if err := j.installed(); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, f := range settings {
		now, err := readFile(f.Path)
		if err != nil {
			return nil, err
		}
		if files[filepath.Base(f.Path)], err = f.edit().apply(now); err != nil {
			return nil, f.unparsable(err)
		}
	}
	if err := j.key.Leave(); err != nil {
		return nil, err
	}
	found := &cardKeys{}
	if err := j.learn(ctx, found, files); err != nil {
		return nil, err
	}
	if !found.has(j.key) {
		return nil, problem.New(problem.NotSupported, "%s does not show %s", pkcs11Daemon, j.key.Ref).
			Because("It shows keys whose certificate the module %s shows with the same ID.", j.key.module).
			Advise(advice.Do(advice.ListTokens, advice.Set(advice.Module, j.key.module)))
	}
	ofCard := found.alike(key.Keygrip(j.key.public), 3)
	for name := range found.stubs { // of another card
		if !slices.Contains(ofCard, strings.TrimSuffix(name, ".key")) {
			delete(found.stubs, name)
		}
	}
	return found, nil
}

// alike are the keygrips of keys whose names begin as that of a key does: they have so
// many parts in common of manufacturer, model, serial number and label of the token.
func (c *cardKeys) alike(keygrip string, parts int) (keygrips []string) {
	begin := func(id string) string {
		all := strings.SplitN(id, "/", parts+1)
		return strings.Join(all[:min(parts, len(all))], "/")
	}
	own := c.told("KEYPAIRINFO", keygrip)
	for _, words := range c.status("KEYPAIRINFO") {
		if len(words) > 1 && begin(words[1]) == begin(own) {
			keygrips = append(keygrips, words[0])
		}
	}
	slices.Sort(keygrips)
	return keygrips
}

// checkGnuPGPKCS11 has gpgsm and gpg sign with the key, and verify the signatures.
func checkGnuPGPKCS11(ctx context.Context, j *job) (string, error) {
	adopted := &adoptedKey{Home: j.gnupgHome(), Keygrip: key.Keygrip(j.key.public), run: j.runProgram}
	fingerprint, err := adopted.first(ctx)
	if err != nil {
		return "", err
	}
	files := append(j.filesOfGPGSM(), filesOfGPG()...)
	return "gpgsm and gpg sign with the key, and verify the signatures", j.withTrial(ctx, files, func(ctx context.Context, g *gnupgTrial, pin *secret.Bytes) error {
		if err := g.signByGPGSM(ctx, pin); err != nil {
			return err
		}
		return g.signAndVerify(ctx, "gpg", nil, fingerprint, pin)
	})
}
