package setup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// adoptedKey is an OpenPGP key of the keys on a card, among those that gpg knows.
type adoptedKey struct {
	Home string `json:"home"`
	// Fingerprints are those on the card; the first key certifies the others.
	Fingerprints []string `json:"fingerprints,omitempty"`
	// Keygrip is that of the first key, if it may have any fingerprint.
	Keygrip string `json:"keygrip,omitempty"`

	run tools
	// adopt makes the public key.
	adopt func(context.Context) (string, error)
}

// adopting is a key that is made with the keys of the card, in a trial that has the PIN.
func (j *job) adopting(public func(context.Context, *gnupgTrial, *secret.Bytes) (string, error)) *adoptedKey {
	k := &adoptedKey{Home: j.gnupgHome(), run: j.runProgram}
	k.adopt = func(ctx context.Context) (made string, err error) {
		err = j.withTrial(ctx, nil, func(ctx context.Context, g *gnupgTrial, pin *secret.Bytes) error {
			made, err = public(ctx, g, pin)
			return err
		})
		return made, err
	}
	return k
}

// runBy gives an entry of a record the tools.
func (k *adoptedKey) runBy(run tools) { k.run = run }

func (k *adoptedKey) whole() bool {
	return filepath.IsAbs(k.Home) && (k.Keygrip != "" || len(k.Fingerprints) > 0)
}
func (k *adoptedKey) kind() string  { return "adopted-key" }
func (k *adoptedKey) place() string { return k.Home + ", adopted key " + k.names()[0] }
func (k *adoptedKey) text() string  { return strings.Join(k.names(), "\n") + "\n" }

func (k *adoptedKey) names() []string {
	if k.Keygrip != "" {
		return []string{"with the keygrip " + k.Keygrip}
	}
	return k.Fingerprints
}

// stays says that others may have certified the key meanwhile, or encrypted to it.
func (k *adoptedKey) stays() bool { return true }

// gpg runs it without the daemons, which it would start.
func (k *adoptedKey) gpg(ctx context.Context, input string, args ...string) (string, error) {
	args = append([]string{"--homedir", k.Home, "--batch", "--no-autostart"}, args...)
	return k.run(ctx, runner.Program{Name: "gpg", Args: args, Stdin: []byte(input)})
}

// look is content with keys of the card that are part of another OpenPGP key.
func (k *adoptedKey) look(ctx context.Context) (state, string, error) {
	if !hasKeybox(k.Home) {
		return absent, "", nil
	}
	listed, err := k.list(ctx)
	if err != nil {
		return absent, "", err
	}
	known := fingerprintsIn(listed)
	if slices.ContainsFunc(k.Fingerprints, func(f string) bool { return !slices.Contains(known, f) }) ||
		k.Keygrip != "" && fingerprintWith(listed, k.Keygrip) == "" {
		return absent, "", nil
	}
	return present, "", nil
}

func (k *adoptedKey) list(ctx context.Context) (string, error) {
	return k.gpg(ctx, "", "--with-colons", "--fixed-list-mode", "--with-subkey-fingerprint", "--with-keygrip", "--list-keys")
}

// fingerprintWith is that of the OpenPGP key in a list whose first key has a keygrip,
// empty for none.
func fingerprintWith(listed, keygrip string) (fingerprint string) {
	const field = 9 // in a line fpr or grp, doc/DETAILS of GnuPG
	first := false
	for line := range strings.Lines(listed) {
		fields := strings.Split(line, ":")
		switch kind := fields[0]; {
		case kind == "pub" || kind == "sub":
			first = kind == "pub"
		case !first || len(fields) <= field:
		case kind == "fpr":
			fingerprint = fields[field]
		case kind == "grp" && fields[field] == keygrip:
			return fingerprint
		}
	}
	return ""
}

// first is the fingerprint of the first key, which names the OpenPGP key.
func (k *adoptedKey) first(ctx context.Context) (string, error) {
	if k.Keygrip == "" {
		return k.Fingerprints[0], nil
	}
	listed, err := k.list(ctx)
	return fingerprintWith(listed, k.Keygrip), err
}

func (k *adoptedKey) remember(context.Context) error { return nil }

func (k *adoptedKey) write(ctx context.Context) error {
	public, err := k.adopt(ctx)
	if err != nil {
		return err
	}
	if _, err := k.gpg(ctx, public, "--import"); err != nil {
		return err
	}
	fingerprint, err := k.first(ctx)
	if err != nil {
		return err
	}
	return k.trust(ctx, fingerprint, "6") // ultimately, as a key of one's own
}

// remove is for experts: the stubs may be others'.
func (k *adoptedKey) remove(ctx context.Context) error {
	fingerprint, err := k.first(ctx)
	if err != nil {
		return err
	}
	if _, err := k.gpg(ctx, "", "--expert", "--yes", "--delete-keys", fingerprint); err != nil {
		return err
	}
	return k.trust(ctx, fingerprint, "2") // not known
}

// trust sets how far the owner of the key is trusted, doc/DETAILS of GnuPG.
func (k *adoptedKey) trust(ctx context.Context, fingerprint, level string) error {
	_, err := k.gpg(ctx, fingerprint+":"+level+":\n", "--import-ownertrust")
	return err
}
