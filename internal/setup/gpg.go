package setup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// gpg has GnuPG use the keys of a card as an OpenPGP key, which it adopts.
func gpg() target {
	return target{
		name:     "gpg",
		needs:    []program{{names: []string{"gpg"}, pack: "gpg"}, {names: []string{"gpg-agent"}, pack: "gpg-agent"}, cardDaemon()},
		accepts:  []Option{advice.User, advice.DeleteAdopted, advice.Agent},
		variable: "GNUPGHOME",
		plan:     planGPG,
		check:    checkGPG,
	}
}

func planGPG(ctx context.Context, j *job) (plan, error) {
	found, err := j.cardKeys(ctx)
	if err != nil {
		return plan{}, err
	}
	if len(found.status("KEY-FPR")) == 0 {
		return plan{}, noFingerprints(j.key.Ref)
	}
	places := found.places()
	if len(places) == 0 || places[0].number != signaturePlace {
		return plan{}, noKeyForSignatures()
	}
	owner, source, err := j.owner(ctx, found)
	if err != nil {
		return plan{}, err
	}
	settings, stubs := found.entries(j.gnupgHome())
	for _, e := range stubs {
		e.(*file).Adopted = true
	}
	adopted := j.adopting(func(ctx context.Context, g *gnupgTrial, pin *secret.Bytes) (string, error) {
		return g.adopt(ctx, owner, places, pin)
	})
	for _, p := range places {
		adopted.Fingerprints = append(adopted.Fingerprints, p.fingerprint)
	}
	next, notes := j.afterGnuPG()
	return plan{
		entries: slices.Concat(settings, []entry{adopted}, stubs),
		next:    next, undone: next,
		notes: append([]string{fmt.Sprintf("The adopted key is that of %s, as %s tells.", owner, source)}, notes...),
	}, nil
}

// signaturePlace is the number of the key that certifies the others.
const signaturePlace = 1

// place is a place of the card with a key.
type place struct {
	number      int
	fingerprint string
	created     time.Time
}

// places are those with a key that the card has a fingerprint of, in their order.
func (c *cardKeys) places() []place {
	var all []place
	for _, words := range c.status("KEYPAIRINFO") { // keygrip, NAME.n
		if len(words) < 2 {
			continue
		}
		_, n, _ := strings.Cut(words[1], ".")
		number, err := strconv.Atoi(n)
		p := place{number: number, fingerprint: c.told("KEY-FPR", n)}
		seconds, timeless := strconv.ParseInt(c.told("KEY-TIME", n), 10, 64)
		if err != nil || timeless != nil || p.fingerprint == "" {
			continue
		}
		p.created = time.Unix(seconds, 0)
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b place) int { return cmp.Compare(a.number, b.number) })
	return all
}

// told is what a keyword says of the key of a number, empty for nothing.
func (c *cardKeys) told(keyword, number string) string {
	for _, words := range c.status(keyword) {
		if len(words) == 2 && words[0] == number {
			return words[1]
		}
	}
	return ""
}

// status are the words of the lines that begin with a keyword.
func (c *cardKeys) status(keyword string) [][]string {
	var all [][]string
	for _, line := range c.report {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "S" && words[1] == keyword {
			all = append(all, words[2:])
		}
	}
	return all
}

// owner is whom the keys belong to, as gpg writes it, and where that was found: in a
// certificate, or on the card.
func (j *job) owner(ctx context.Context, found *cardKeys) (name, source string, err error) {
	certificates, err := j.key.Beside(ctx)
	if err != nil {
		return "", "", err
	}
	if j.key.certificate != nil {
		certificates = append([]*cert.Certificate{j.key.certificate}, certificates...)
	}
	if err := j.key.Leave(); err != nil {
		return "", "", err
	}
	for _, c := range certificates {
		if o := ownerOf(c); o != "" {
			return o, "the certificate", nil
		}
	}
	if words := found.status("DISP-NAME"); len(words) > 0 {
		// ISO 7501-1: the family name, <<, the given names, with < for a space.
		family, given, _ := strings.Cut(words[0][0], "<<")
		if o := userID(strings.NewReplacer("<", " ", "+", " ").Replace(given+" "+family), ""); o != "" {
			return o, "the card", nil
		}
	}
	return "", "", problem.New(problem.NotFound, "the card does not tell whose it is").
		Because("A key of gpg has a name, which is that of a certificate or of the card holder.").Advise(importCertificate(j.key.Ref))
}

func ownerOf(c *cert.Certificate) string {
	mail := ""
	for _, name := range c.AltNames {
		if name.Kind == cert.EmailName && mail == "" {
			mail = string(name.Value)
		}
	}
	return userID(c.Subject.CommonName(), mail)
}

// userID is a name and an address as an OpenPGP key has them, RFC 9580, 5.11.
func userID(name, mail string) string {
	name, mail = plain(name), plain(mail)
	if mail == "" || name == "" {
		return name
	}
	return name + " <" + mail + ">"
}

// nameAndMail are the parts of a user ID, as gpg asks for them.
func nameAndMail(userID string) (name, mail string) {
	name, mail, _ = strings.Cut(strings.TrimSuffix(userID, ">"), " <")
	return name, mail
}

// plain is a text in one line without what has a meaning in a user ID.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune("<>()", r) || r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// adopt makes an OpenPGP key of the keys on the card: the public key, with the
// fingerprints that the card has. These depend on the times at which keys were made.
func (g *gnupgTrial) adopt(ctx context.Context, owner string, places []place, pin *secret.Bytes) (public string, err error) {
	if _, err := g.ask(ctx, asTyped("learn", "--sendinfo")); err != nil {
		return "", err
	}
	first := places[0]
	for i, p := range places {
		const existing = "14" // a key that the card has
		dialogue := []string{existing, strconv.Itoa(i + 1), "=" + p.usage(), "0"}
		command := []string{"--full-generate-key"}
		if i == 0 {
			name, mail := nameAndMail(owner)
			dialogue = append(dialogue, name, mail, "", "O")
		} else {
			dialogue = slices.Concat([]string{"addkey"}, dialogue, []string{"save"})
			command = []string{"--edit-key", first.fingerprint}
		}
		made, err := g.talk(ctx, pin, dialogue, append(dated(p.created), command...)...)
		if err != nil {
			return "", err
		}
		if !strings.Contains(made, " "+p.fingerprint+"\n") {
			return "", problem.New(problem.Mismatch, "gpg gives key %d of the card another fingerprint", p.number).
				Because("The card has %s. The key or its time was changed by another program.", p.fingerprint).Advise(advice.Do(advice.ShowCard))
		}
	}
	for i, p := range places {
		if !p.created.Before(first.created) {
			continue
		}
		// It was added before there was the key that certifies it: so it is certified again.
		if _, err := g.talk(ctx, pin, []string{"key " + strconv.Itoa(i), "expire", "0", "save"}, "--edit-key", first.fingerprint); err != nil {
			return "", err
		}
	}
	return g.exported(ctx, first.fingerprint)
}

// dated has gpg work as at another time.
func dated(at time.Time) []string {
	return []string{"--faked-system-time", fmt.Sprintf("%d!", at.Unix())}
}

// exported is the public key of an OpenPGP key, as text.
func (g *gnupgTrial) exported(ctx context.Context, fingerprint string) (string, error) {
	return g.job.run(ctx, nil, "gpg", "--homedir", g.dir, "--batch", "--armor", "--export", fingerprint)
}

// talk has gpg ask for each step, and answers it.
func (g *gnupgTrial) talk(ctx context.Context, pin *secret.Bytes, dialogue []string, args ...string) (string, error) {
	if err := g.put("dialogue", []byte(strings.Join(dialogue, "\n")+"\n")); err != nil {
		return "", err
	}
	options := []string{"--no-tty", "--expert", "--ignore-time-conflict", "--allow-freeform-uid", "--charset", "utf-8", "--command-file", g.path("dialogue")}
	return g.withPIN(ctx, "gpg", pin, append(options, args...)...)
}

// usage are gpg's letters for what the key in a place of an OpenPGP card is for.
func (p place) usage() string {
	return map[int]string{1: "sc", 2: "e", 3: "a"}[p.number]
}

// checkGPG has gpg sign with the adopted key, and verify the signature.
func checkGPG(ctx context.Context, j *job) (string, error) {
	found, err := j.cardKeys(ctx)
	if err != nil {
		return "", err
	}
	files := filesOfGPG()
	for name := range found.stubs {
		files = append(files, "private-keys-v1.d/"+name)
	}
	return "gpg signs with the adopted key, and verifies the signature", j.withTrial(ctx, files, func(ctx context.Context, g *gnupgTrial, pin *secret.Bytes) error {
		return g.signAndVerify(ctx, "gpg", nil, found.places()[0].fingerprint, pin)
	})
}

// filesOfGPG are those that it needs to sign with a key, besides stubs.
func filesOfGPG() []string {
	return []string{"gpg.conf", "pubring.kbx", "pubring.gpg", "trustdb.gpg", "common.conf", "public-keys.d/pubring.db"}
}

// noFingerprints refuses a card that keeps none, which GnuPG shows from 2.3 on.
func noFingerprints(ref string) error {
	return problem.New(problem.NotSupported, "gpg cannot adopt %s", ref).
		Because("The card does not keep what the fingerprints of gpg are made of. gpgsm uses this key.").Advise(setUp("gpgsm", advice.Set(advice.Key, ref)))
}

func noKeyForSignatures() error {
	return problem.New(problem.NotFound, "the card has no key for signatures").
		Because("A key of gpg begins with such a key, which certifies the others.").Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
}
