package setup

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"

	"github.com/smallstep/pkcs7"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

// checkThunderbird has NSS's tools sign a message as Thunderbird does, with a copy of its
// profile. A key that does not sign mail is looked for.
func checkThunderbird(ctx context.Context, j *job) (string, error) {
	ctx, stop := context.WithTimeout(ctx, checkTime)
	defer stop()
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := j.profileWithCard(ctx, dir); err != nil {
		return "", err
	}
	started := "Thunderbird was not started"
	if j.System {
		started = "Thunderbird made the profile by its policies"
	}
	if usage := j.key.certificate.KeyUsage; usage != 0 && usage&cert.DigitalSignature == 0 || !forMail(j.key.certificate) {
		return "NSS's own tool finds the key with the certificate. " + started, j.listsKey(ctx, dir)
	}
	return "NSS's own tool signs a message with the key, and the signature verifies. " + started, j.signsMessage(ctx, dir)
}

// nickname is what NSS calls the certificate of the key.
func (j *job) nickname() (string, error) {
	if j.key.known.CertificateLabel == nil {
		return "", problem.New(problem.NotFound, "the module does not show the certificate of %s", j.key.Ref).
			Because("NSS finds a key by its certificate.").Advise(advice.Do(advice.Diagnose))
	}
	return j.key.token.Label + ":" + *j.key.known.CertificateLabel, nil
}

func (j *job) signsMessage(ctx context.Context, profile string) error {
	name, err := j.nickname()
	if err != nil {
		return err
	}
	if err := j.spareKey(ctx, profile); err != nil {
		return err
	}
	message, signed := rand.Text(), filepath.Join(profile, "signed")
	_, err = j.withPINOfNSS(ctx, runner.Program{
		Name: "cmsutil", Stdin: []byte(message),
		Args: []string{"-S", "-d", "sql:" + profile, "-N", name, "-Y", spare, "-o", signed, "-f", runner.FilePlace},
	}, func() bool { return signedAs(signed, message, j.key.certificate) == nil }) // it may fail after it signed
	if err != nil {
		return err
	}
	return signedAs(signed, message, j.key.certificate)
}

// spare is the name of a certificate in a profile that is thrown away.
const spare = "cardctl check"

// spareKey makes a key for encryption: cmsutil names one in what it signs, and does not
// sign with a certificate that is for signatures only if there is no other.
func (j *job) spareKey(ctx context.Context, profile string) error {
	noise := filepath.Join(profile, "noise")
	if err := os.WriteFile(noise, []byte(rand.Text()+rand.Text()), 0o600); err != nil {
		return unwritable(noise, err)
	}
	database := nss{Dir: profile, run: j.runProgram}
	_, err := database.certutil(ctx, "-S", "-x", "-n", spare, "-s", "CN="+spare, "-t", string(forServersAndMail), "-k", "ec", "-q", "nistp256", "-z", noise, "-v", "1")
	return err
}

func signedAs(path, message string, by *cert.Certificate) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return unreadable(path, err)
	}
	return verifyMessage(content, message, by)
}

// verifyMessage checks that a signed message has this content, and that the key of the
// certificate signed it.
func verifyMessage(signed []byte, message string, by *cert.Certificate) error {
	parsed, err := pkcs7.Parse(signed)
	if err == nil {
		err = parsed.Verify()
	}
	switch {
	case err != nil:
		return problem.Wrap(problem.Mismatch, err, "the signed message does not verify")
	case string(parsed.Content) != message:
		return problem.New(problem.Mismatch, "the signed message is another one")
	case parsed.GetOnlySigner() == nil || !by.Equal(&cert.Certificate{Raw: parsed.GetOnlySigner().Raw}):
		return problem.New(problem.Mismatch, "another key signed the message").
			Because("The token shows several certificates of the same name.").Advise(advice.Do(advice.ShowCard))
	}
	return nil
}

// listsKey looks for the private key on its token.
func (j *job) listsKey(ctx context.Context, profile string) error {
	listed, err := j.withPINOfNSS(ctx, runner.Program{
		Name: "certutil", Args: []string{"-K", "-d", "sql:" + profile, "-h", j.key.token.Label, "-f", runner.FilePlace},
	}, func() bool { return false })
	if err != nil {
		return err
	}
	return lists(listed, j.key.known.Handle, j.key.Ref)
}

// lists looks for the ID of a key in the list of certutil: number, kind, ID, name.
func lists(listed, id, ref string) error {
	for line := range strings.Lines(listed) {
		if fields := strings.Fields(line); len(fields) > 3 && strings.EqualFold(fields[3], id) {
			return nil
		}
	}
	return problem.New(problem.NotFound, "NSS does not find the key %s", ref).
		Because("Its list of private keys has none with the ID %s.", id).Advise(advice.Do(advice.ShowCard))
}
