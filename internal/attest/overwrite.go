package attest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// afterwards is the time there is to look at the card, and to put back what was on it,
// after a statement that failed or was interrupted.
const afterwards = 4 * time.Second

// What is stored as the certificate of a key.
const (
	storedStatement = "statement"
	storedPrevious  = "previous"
	storedNothing   = "none"
)

// Place is what became of the certificate of a key whose card writes its statement over
// it.
type Place struct {
	// Stored is what is there now: "statement", "previous", or "none" as before.
	Stored string `json:"stored"`
	// Previous is the subject of the certificate that was there; empty for none, and for
	// a statement.
	Previous string `json:"previous,omitempty"`
	// Kept is the file with that certificate, where it is not on the card any more.
	Kept string `json:"kept,omitempty"`
}

// Words are the place in words.
func (p *Place) Words() string {
	switch {
	case p.Stored == storedPrevious:
		return p.Previous + ", put back"
	case p.Stored == storedNothing:
		return "none, as before"
	case p.Kept != "":
		return "the card stores the statement; " + p.Previous + " is kept in " + p.Kept
	}
	return "the card stores the statement"
}

// overwriting is the work on a card that writes its statement over a certificate.
type overwriting struct {
	key.Overwriter
	k      key.Key
	o      *Options
	public crypto.PublicKey // of the key; nil where it is not told
	before key.Overwritten
	puts   bool   // what was there is put back
	begun  bool   // an earlier command wrote a statement over before, which is in its file
	kept   string // the file, empty for none
	after  []byte // what is stored in the end
	Place
}

// overwrite has the statement made and checks it. What it was written over is on the card
// afterwards, or in a file that the report or the error names.
func overwrite(ctx context.Context, k key.Key, by key.Overwriter, o *Options) (Report, error) {
	w := &overwriting{Overwriter: by, k: k, o: o}
	var err error
	if w.before, err = by.Overwritten(ctx); err != nil {
		return Report{}, err
	}
	if err := w.prepare(ctx); err != nil {
		return Report{}, err
	}
	made, err := by.Attest(ctx)
	if err = w.settle(ctx, made, err); err != nil {
		return Report{}, err
	}
	report, err := check(ctx, k, made, o)
	if err != nil {
		return report, w.explain(err, w.state())
	}
	report.Certificate = &w.Place
	return report, nil
}

// certified reports whether there is a certificate that somebody would miss, on the card or
// in the file of an earlier command.
func (w *overwriting) certified() bool { return len(w.before.Certificate) > 0 && !w.before.Statement }

// prepare is everything that can be refused: a person confirms a certificate that is not
// put back, the PINs are verified, and the certificate is in its file.
func (w *overwriting) prepare(ctx context.Context) error {
	path, err := w.findBefore(ctx)
	if err != nil {
		return err
	}
	admin, err := w.k.PIN(ctx, key.ToStore)
	if err != nil {
		return err
	}
	store, err := w.o.Policy.Offered(ctx, admin)
	if err != nil {
		return err
	}
	defer store.Wipe()
	w.puts = store != nil && !w.before.Statement
	if w.certified() && !w.puts && !w.begun {
		if err := w.o.Confirm.Ask(ctx, w.question(admin.Name(), path)); err != nil {
			return err
		}
	}
	if err := w.Unlock(ctx, store); err != nil || path == "" {
		return err
	}
	if err := keep(path, w.before.Certificate); err != nil {
		return problem.New(problem.Failed, "%s: the certificate cannot be kept in a file", work(w.k)).
			Because("%s", problem.Sentences(problem.Sentence(err.Error()), key.Untouched)).
			Advise(advice.Say("Make room for %s, or delete it.", path))
	}
	w.kept = path
	return nil
}

func (w *overwriting) question(adminPIN, path string) advice.Question {
	return advice.Question{
		Deed: "Overwrite", Subject: "the certificate of " + w.k.Reference().String() + " with the statement",
		Lost: problem.Sentences("The certificate is "+inWords(w.before.Certificate)+".", "It is first kept in "+path+".", "If you name a source of the "+adminPIN+", cardctl puts it back itself."),
	}
}

// findBefore finds the certificate that the card should have afterwards, and where it is
// kept; empty for none. If a statement is stored, it is the one that an earlier command
// left in a file.
func (w *overwriting) findBefore(ctx context.Context) (path string, err error) {
	if len(w.before.Certificate) == 0 {
		return "", nil
	}
	if w.public, err = w.k.Public(ctx); err != nil {
		w.public = nil
	}
	holder, err := w.k.Holder(ctx)
	if err != nil {
		return "", err
	}
	state, err := w.o.StateDir()
	if err != nil {
		return "", err
	}
	folder, begin := filepath.Join(state, "certificates"), holder.Serial+"-"+w.k.Reference().ID+"-"
	if w.before.Statement {
		left, certificate := w.left(folder, begin)
		if left == "" {
			return "", nil
		}
		path, w.begun, w.before = left, true, key.Overwritten{Certificate: certificate}
	} else {
		sum := sha256.Sum256(w.before.Certificate)
		path = filepath.Join(folder, fmt.Sprintf("%s%X.der", begin, sum[:8]))
	}
	w.Previous = describe(w.before.Certificate)
	return path, nil
}

// left is the newest file whose name has that beginning with a certificate of the key, and
// its content; empty for none.
func (w *overwriting) left(folder, begin string) (path string, certificate []byte) {
	entries, err := os.ReadDir(folder)
	if err != nil || w.public == nil {
		return "", nil
	}
	var newest time.Time
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !strings.HasPrefix(entry.Name(), begin) || !info.Mode().IsRegular() || !info.ModTime().After(newest) {
			continue
		}
		name := filepath.Join(folder, entry.Name())
		content, err := os.ReadFile(name)
		if c, failed := cert.ParseStored(content); err == nil && failed == nil && pubkey.Same(c.PublicKey, w.public) {
			path, certificate, newest = name, content, info.ModTime()
		}
	}
	return path, certificate
}

const longestFile = 1 << 20 // bytes

// keep writes the file for its owner alone. One that an interrupted command left is as
// good.
func keep(path string, certificate []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	err := output.NewPrivateFile(path, certificate)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	there, err := input.Regular(path, longestFile)
	if err == nil && !bytes.Equal(there, certificate) {
		return fmt.Errorf("%s has another content", path)
	}
	return err
}

// describe is a certificate in words.
func describe(der []byte) string {
	c, err := cert.ParseStored(der)
	if err != nil {
		return fmt.Sprintf("unreadable (%d bytes)", len(der))
	}
	return c.Subject.String()
}

// inWords is a certificate in a question.
func inWords(der []byte) string {
	c, err := cert.ParseStored(der)
	if err != nil {
		return describe(der)
	}
	return "for " + c.Subject.String() + ", expires on " + output.Time(c.NotAfter)
}

// settle puts back what was there, or sees that it is not on the card, and adds to a
// failure what is on the card now.
func (w *overwriting) settle(ctx context.Context, made *key.Attestation, cause error) error {
	unknown := "It is not known whether " + w.place() + " is the statement now."
	if problem.Gone(cause) {
		return w.explain(cause, unknown)
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer stop()
	now, err := w.now(ctx, made)
	if err != nil {
		return w.explain(cause, unknown)
	}
	if !w.isBefore(now) && w.puts {
		put := w.putBack(ctx)
		if now, err = w.k.ReadBackCertificate(ctx); err != nil || !w.isBefore(now) {
			cause = errors.Join(cause, put, err)
		}
		if err != nil {
			return w.explain(cause, unknown)
		}
		if cause == nil && !w.isBefore(now) {
			cause = problem.New(problem.Failed, "%s: the certificate on the card is not the one that was written back", work(w.k))
		}
	}
	w.after = now
	if w.isBefore(now) {
		w.done()
	} else {
		w.Stored, w.Kept = storedStatement, w.kept
	}
	return w.explain(cause, w.state())
}

// now is what is stored as the certificate of the key after a statement was made.
func (w *overwriting) now(ctx context.Context, made *key.Attestation) ([]byte, error) {
	if made != nil {
		return made.Statement, nil
	}
	return w.k.ReadBackCertificate(ctx)
}

func (w *overwriting) isBefore(stored []byte) bool { return bytes.Equal(stored, w.before.Certificate) }

// putBack writes what was there before.
func (w *overwriting) putBack(ctx context.Context) error {
	if w.before.Certificate == nil {
		return w.k.DeleteCertificate(ctx)
	}
	return w.k.PutCertificate(ctx, w.before.Certificate, nil)
}

// done notes that the card holds what it held before: the file is needed no longer.
func (w *overwriting) done() {
	switch {
	case len(w.before.Certificate) == 0:
		w.Stored = storedNothing
	case w.before.Statement:
		w.Stored = storedStatement
	default:
		w.Stored = storedPrevious
	}
	if w.kept != "" && os.Remove(w.kept) == nil {
		w.kept = ""
	}
	w.Kept = w.kept
}

// place is what the statement is written over.
func (w *overwriting) place() string { return "the certificate of " + w.k.Reference().String() }

// state is what the card has now, in a sentence.
func (w *overwriting) state() string {
	as := ""
	if w.isBefore(w.after) {
		as = ", as before"
	}
	if len(w.after) == 0 {
		return "The card has no certificate for " + w.k.Reference().String() + as + "."
	}
	return "The card has " + describe(w.after) + " as " + w.place() + as + "."
}

// explain adds what is on the card to a failure, and where the certificate is kept, with
// what brings it back.
func (w *overwriting) explain(cause error, state string) error {
	if cause == nil {
		return nil
	}
	if w.kept != "" {
		state = problem.Sentences(state, "The certificate is kept in "+w.kept+".")
	}
	var p *problem.Error
	what := work(w.k)
	if errors.As(cause, &p) { // which names the key itself
		what = ""
	}
	explained := key.Explain(cause, what, state)
	if w.kept == "" || !errors.As(explained, &p) {
		return explained
	}
	return p.Advise(w.bringBack())
}

// bringBack imports the certificate that was kept, if it is one for the key.
func (w *overwriting) bringBack() advice.Advice {
	c, err := cert.ParseStored(w.before.Certificate)
	if err != nil || w.public != nil && !pubkey.Same(c.PublicKey, w.public) {
		return advice.Say("Keep %s: it is not a certificate of this key, so cardctl cannot import it.", w.kept)
	}
	values := []advice.Value{advice.Set(advice.Key, w.k.Reference().String())}
	if w.o.Now.After(c.NotAfter) || w.o.Now.Before(c.NotBefore) {
		values = append(values, advice.Switch(advice.Expired))
	}
	return advice.Do(advice.ImportCertificate, values...).On(w.kept)
}
