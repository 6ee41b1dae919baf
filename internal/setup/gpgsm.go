package setup

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// gpgsm has GnuPG's program for S/MIME sign and decrypt with the keys of a card.
func gpgsm() target {
	return target{
		name:     "gpgsm",
		needs:    []program{gpgsmProgram(), {names: []string{"gpg-agent"}, pack: "gpg-agent"}, cardDaemon()},
		accepts:  []Option{advice.User, advice.CA, advice.Agent},
		variable: "GNUPGHOME",
		plan:     planGPGSM,
		check:    checkGPGSM,
	}
}

func gpgsmProgram() program { return program{names: []string{"gpgsm"}, pack: "gpgsm"} }

func noCertificateForGPGSM(ref string) error {
	return problem.New(problem.NotFound, "there is no certificate for %s", ref).
		Because("gpgsm uses keys by their certificates.").Advise(importCertificate(ref))
}

func planGPGSM(ctx context.Context, j *job) (plan, error) {
	if j.key.certificate == nil {
		return plan{}, noCertificateForGPGSM(j.key.Ref)
	}
	certificates, err := j.key.Beside(ctx)
	if err != nil {
		return plan{}, err
	}
	found, err := j.cardKeys(ctx)
	if err != nil {
		return plan{}, err
	}
	settings, stubs := found.entries(j.gnupgHome())
	next, notes := j.afterGnuPG()
	return plan{
		entries: slices.Concat(settings, j.certificateEntries(certificates), stubs),
		next:    next, undone: next,
		notes: notes,
	}, nil
}

// certificateEntries have gpgsm trust the CA, and know certificates.
func (j *job) certificateEntries(certificates []*cert.Certificate) (entries []entry) {
	if roots := trustedRoots(j.CA); roots != "" {
		entries = append(entries, &file{Path: j.trustList(), Mode: 0o600, Block: &block{Name: j.target.name, Comment: "#", Content: roots}})
	}
	for _, c := range slices.Concat(j.CA, certificates) {
		e := j.inKeybox(c)
		if !slices.ContainsFunc(entries, func(other entry) bool { return same(other, e) }) {
			entries = append(entries, e)
		}
	}
	return entries
}

func (j *job) trustList() string { return filepath.Join(j.gnupgHome(), "trustlist.txt") }

// trustedRoots are lines of trustlist.txt, for those certificates that issued themselves.
func trustedRoots(authorities []*cert.Certificate) string {
	var lines strings.Builder
	for _, c := range authorities {
		if c.Subject.Matches(c.Issuer) {
			flags := " S"
			if !c.IsCA { // one that issued itself alone
				flags += " relax"
			}
			lines.WriteString("# " + strings.Join(strings.Fields(c.Subject.String()), " ") + "\n" + x509Name(c.Raw) + flags + "\n")
		}
	}
	return lines.String()
}

// checkGPGSM has gpgsm sign with the key, and verify the signature.
func checkGPGSM(ctx context.Context, j *job) (string, error) {
	return "gpgsm signs with the key, and verifies the signature", j.withTrial(ctx, j.filesOfGPGSM(), func(ctx context.Context, g *gnupgTrial, pin *secret.Bytes) error {
		return g.signByGPGSM(ctx, pin)
	})
}

// signByGPGSM has gpgsm sign with the key and verify.
func (g *gnupgTrial) signByGPGSM(ctx context.Context, pin *secret.Bytes) error {
	err := g.signAndVerify(ctx, "gpgsm", []string{"--disable-dirmngr"}, x509Name(g.job.key.certificate.Raw), pin)
	return withCA(err, g.job.target.name)
}

// filesOfGPGSM are those that it needs to sign with the key.
func (j *job) filesOfGPGSM() []string {
	return []string{"gpgsm.conf", "trustlist.txt", "pubring.kbx", "common.conf", "public-keys.d/pubring.db", "private-keys-v1.d/" + key.Keygrip(j.key.public) + ".key"}
}

// withCA advises to name the CA: gpgsm signs only with a certificate that it can verify.
func withCA(err error, target string) error {
	var p *problem.Error
	if errors.As(err, &p) && (strings.Contains(p.Why, "issuer certificate") || strings.Contains(p.Why, "rusted")) {
		return p.Advise(setUp(target, advice.Fill(advice.CA)))
	}
	return err
}
