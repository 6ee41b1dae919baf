package ledger

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"time"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Anchor is a signature of the log's head, as it is kept outside the database.
type Anchor struct {
	// Ledger tells the ledger from others.
	Ledger string `json:"ledger"`
	// Number is the record up to which is signed, Hash its hash.
	Number int64     `json:"number"`
	Hash   string    `json:"hash"`
	At     time.Time `json:"at"`
	// Key is the public key, in PEM.
	Key       string `json:"key"`
	Signature []byte `json:"signature"`
	// Records are the first 8 bytes of the hash of each record. They find the first one
	// that differs; that one does is proven by the signature.
	Records []byte `json:"records,omitempty"`
}

const (
	anchorKind = "LedgerAnchor"
	prefix     = 8 // bytes of a hash in Anchor.Records
)

// Write writes the anchor as a JSON document.
func (a *Anchor) Write(w io.Writer) error { return output.WriteDocument(w, anchorKind, a) }

// ReadAnchor reads a document that Write wrote.
func ReadAnchor(data []byte) (*Anchor, error) {
	var read struct {
		Kind string `json:"kind"`
		Anchor
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&read); err != nil || read.Kind != anchorKind || read.Number < 1 {
		return nil, problem.New(problem.Mismatch, "not an anchor of a ledger")
	}
	return &read.Anchor, nil
}

// statement is what is signed.
func (a *Anchor) statement() []byte {
	return fmt.Appendf(nil, "cardctl ledger\n%s\n%d\n%s\n", a.Ledger, a.Number, a.Hash)
}

// signed is what a key gets: a digest, or the statement itself if it makes its own.
func signed(public crypto.PublicKey, statement []byte) ([]byte, crypto.SignerOpts) {
	if _, ok := public.(ed25519.PublicKey); ok {
		return statement, crypto.Hash(0)
	}
	digest := sha256.Sum256(statement)
	return digest[:], crypto.SHA256
}

// public is the key of the anchor.
func (a *Anchor) public() (crypto.PublicKey, error) {
	key, err := pubkey.Read([]byte(a.Key))
	if err != nil {
		return nil, problem.New(problem.Mismatch, "the signature of record %d has no public key that can be read", a.Number)
	}
	return key, nil
}

// check verifies the signature.
func (a *Anchor) check() error {
	key, err := a.public()
	if err != nil {
		return err
	}
	what, opts := signed(key, a.statement())
	if !pubkey.Verify(key, what, a.Signature, opts) {
		return problem.New(problem.Mismatch, "the signature of record %d does not verify", a.Number)
	}
	return nil
}

// Sign signs the head of the log, stores the signature, and returns it, to be kept outside
// the database. A log without records is a problem.Refused, one that is not what was
// signed before a problem.Mismatch.
func (l *Ledger) Sign(ctx context.Context, signer crypto.Signer) (*Anchor, error) {
	der, err := pubkey.Marshal(signer.Public())
	if err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, "the key cannot sign the log")
	}
	if _, err := l.Verify(ctx, nil); err != nil {
		return nil, err
	}
	a := &Anchor{Ledger: l.id, Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
	if err := l.inspect(ctx, func(s stored) error {
		first, err := hex.DecodeString(s.hash)
		if err != nil {
			return err
		}
		a.Number, a.Hash = s.number, s.hash
		a.Records = append(a.Records, first[:prefix]...)
		return nil
	}); err != nil {
		return nil, err
	}
	if a.Number == 0 {
		return nil, problem.New(problem.Refused, "the log has no record yet")
	}
	what, opts := signed(signer.Public(), a.statement())
	if a.Signature, err = signer.Sign(rand.Reader, what, opts); err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	now, err := l.Time(ctx)
	if err != nil {
		return nil, err
	}
	a.At = now.Truncate(time.Second)
	return a, l.keep(ctx, a)
}

func (l *Ledger) keep(ctx context.Context, a *Anchor) error {
	if err := l.writable(); err != nil {
		return err
	}
	return l.db.Exec(ctx, "INSERT INTO signature (number, hash, at, key, signature) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (number, key) DO NOTHING",
		a.Number, a.Hash, a.At.UnixMilli(), a.Key, hex.EncodeToString(a.Signature))
}

// signatures are those in the database, by number.
func (l *Ledger) signatures(ctx context.Context) (all []Anchor, err error) {
	err = l.db.Rows(ctx, func(scan func(...any) error) error {
		a := Anchor{Ledger: l.id}
		var at int64
		var signature string
		if err := scan(&a.Number, &a.Hash, &at, &a.Key, &signature); err != nil {
			return err
		}
		a.At = moment(at)
		a.Signature, _ = hex.DecodeString(signature) // what is left does not verify
		all = append(all, a)
		return nil
	}, "SELECT number, hash, at, key, signature FROM signature ORDER BY number, key")
	return all, err
}
