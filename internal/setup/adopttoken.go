package setup

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// adoptToken makes an OpenPGP key of the key on a token: the public key. It has the time
// of the certificate, so that it is the same wherever it is made. If the key does not
// decrypt, another one of the card does, which has the same PIN.
func (g *gnupgTrial) adoptToken(ctx context.Context, owner string, found *cardKeys, pin *secret.Bytes) (public string, err error) {
	if _, err := g.ask(ctx, asTyped("learn", "--sendinfo")); err != nil {
		return "", err
	}
	own := key.Keygrip(g.job.key.public)
	fingerprint, err := g.makeKey(ctx, owner, own, "=sce", pin)
	if err != nil {
		return "", err
	}
	if !g.decrypts(ctx, fingerprint, pin) {
		if _, err := g.job.run(ctx, nil, "gpg", "--homedir", g.dir, "--batch", "--expert", "--yes", "--delete-keys", fingerprint); err != nil {
			return "", err
		}
		if _, err := g.makeKey(ctx, owner, own, "=sc", pin); err != nil {
			return "", err
		}
		if err := g.addDecryption(ctx, fingerprint, found.samePIN(g.job.key), pin); err != nil {
			return "", err
		}
	}
	return g.exported(ctx, fingerprint)
}

// samePIN are the keygrips of the other keys that are used with the PIN of the key.
func (c *cardKeys) samePIN(on *subject) []string {
	parts := 4 // the token
	if on.Holder.SharedPIN {
		parts = 3 // the card
	}
	own := key.Keygrip(on.public)
	return slices.DeleteFunc(c.alike(own, parts), func(keygrip string) bool { return keygrip == own })
}

// byKeygrip is what gpg calls a key that its agent has.
const byKeygrip = "13"

// makeKey makes an OpenPGP key of the key with a keygrip.
func (g *gnupgTrial) makeKey(ctx context.Context, owner, keygrip, usage string, pin *secret.Bytes) (fingerprint string, err error) {
	name, mail := nameAndMail(owner)
	made, err := g.talk(ctx, pin, []string{byKeygrip, keygrip, usage, "0", name, mail, "", "O"}, append(dated(g.made()), "--full-generate-key")...)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(made) {
		if words := strings.Fields(line); len(words) == 4 && words[1] == "KEY_CREATED" {
			return words[3], nil
		}
	}
	return "", problem.New(problem.Failed, "gpg does not adopt %s", g.job.key.Ref)
}

// made is the time of the key that gpg makes: that from which the certificate is valid.
func (g *gnupgTrial) made() time.Time { return g.job.key.certificate.NotBefore }

// addDecryption adds the first of some keys that decrypts, if there is one.
func (g *gnupgTrial) addDecryption(ctx context.Context, fingerprint string, keygrips []string, pin *secret.Bytes) error {
	edit := append(dated(g.made()), "--edit-key", fingerprint)
	for _, keygrip := range keygrips {
		if _, err := g.talk(ctx, pin, []string{"addkey", byKeygrip, keygrip, "=e", "0", "save"}, edit...); err != nil {
			return err
		}
		if g.decrypts(ctx, fingerprint, pin) {
			return nil
		}
		if _, err := g.talk(ctx, pin, []string{"key 1", "delkey", "y", "save"}, edit...); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// decrypts reports whether gpg decrypts what it encrypted to an OpenPGP key.
func (g *gnupgTrial) decrypts(ctx context.Context, fingerprint string, pin *secret.Bytes) bool {
	const text = "a message\n"
	if g.put("message", []byte(text)) != nil {
		return false
	}
	encrypt := []string{"--homedir", g.dir, "--batch", "--yes", "--trust-model", "always", "--recipient", fingerprint, "--output", g.path("encrypted"), "--encrypt", g.path("message")}
	if _, err := g.job.run(ctx, nil, "gpg", encrypt...); err != nil {
		return false
	}
	_, err := g.withPIN(ctx, "gpg", pin, "--batch", "--yes", "--output", g.path("decrypted"), "--decrypt", g.path("encrypted"))
	decrypted, unread := readFile(g.path("decrypted"))
	return err == nil && unread == nil && bytes.Equal(decrypted, []byte(text))
}
