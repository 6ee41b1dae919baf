package setup

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// planGitX509 has git sign by gpgsm, which has to know the certificate.
func planGitX509(ctx context.Context, j *job) (plan, error) {
	if err := gpgsmProgram().required(); err != nil {
		return plan{}, err
	}
	if j.key.certificate == nil {
		return plan{}, noCertificateForGPGSM(j.key.Ref)
	}
	switch is, _, err := j.inKeybox(j.key.certificate).look(ctx); {
	case err != nil:
		return plan{}, err
	case is != present:
		return plan{}, problem.New(problem.NotFound, "gpgsm does not know the certificate of %s", j.key.Ref).
			Because("git signs by gpgsm.").Advise(setUp("gpgsm", advice.Set(advice.Key, j.key.Ref), advice.Fill(advice.CA)))
	}
	settings := "[gpg]\n\tformat = x509\n[gpg \"x509\"]\n\tprogram = gpgsm\n[user]\n\tsigningKey = " + x509Name(j.key.certificate.Raw) + "\n"
	_, notes := j.afterGnuPG()
	return plan{
		entries: []entry{&file{Path: j.gitConfig(), Mode: 0o644, Block: &block{Name: "git", Comment: "#", Content: settings}}},
		next:    []string{"git commit -S"},
		notes:   notes,
	}, nil
}

// commitByGPGSM has git sign with the daemons of a trial, whose agent asks for the PIN.
func (j *job) commitByGPGSM(ctx context.Context, repository []string, tree string) error {
	return j.withTrial(ctx, j.filesOfGPGSM(), func(ctx context.Context, g *gnupgTrial, pin *secret.Bytes) error {
		if err := g.add("gpgsm.conf", "disable-dirmngr\n"); err != nil {
			return err
		}
		return g.withPinentry(pin, func() error {
			environment := append(repository, "GNUPGHOME="+g.dir)
			commit, err := j.run(ctx, environment, "git", "commit-tree", "-S", "-m", "check", tree)
			if err != nil {
				return withCA(err, "gpgsm")
			}
			return j.verifyCommit(ctx, environment, commit)
		})
	})
}
