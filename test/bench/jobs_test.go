//go:build stack

package bench

import (
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// bench is a desk with one card on a wire.
type bench struct {
	*stack.Desk
	t     *testing.T
	wire  *stack.Wire
	gnupg *stack.GnuPG
	ca    *stack.Authority

	algorithm string
}

func newBench(t *testing.T, algorithm string) *bench {
	d := stack.NewDesk(t)
	_, wire := d.WiredCard(algorithm, 0)
	b := &bench{Desk: d, t: t, wire: wire, gnupg: d.GnuPG(0, stack.UserPIN, stack.AdminPIN), ca: d.Authority(), algorithm: algorithm}
	d.Setenv("CARDCTL_CURRENT_ADMIN_PIN", stack.AdminPIN)
	return b
}

const (
	key     = "OPENPGP.3"
	subject = "CN=Floppy Head"
)

// jobs are the rows, in the order in which a desk does them. The first finds
// the card as it was made.
func (b *bench) jobs() []job {
	return []job{
		{
			name:    "init",
			prepare: func() {},
			do:      [programs]func(){cardctl: func() { b.traced("init", "--yes") }},
		},
		{
			name:    "list-readers",
			limit:   8,
			prepare: b.full,
			do: [programs]func(){
				cardctl: func() { b.traced("list-readers") },
				openSC:  func() { b.Run("opensc-tool", "--name") },
				gnuPG:   func() { b.gnupg.CardStatus() },
			},
		},
		{
			name:    "gen-key",
			limit:   9,
			prepare: b.blank,
			do: [programs]func(){
				cardctl: func() { b.traced("gen-key", "--key", key, "--algorithm", b.algorithm) },
				openSC: func() {
					b.Run("openpgp-tool", "--verify", "CHV3", "--pin", stack.AdminPIN, "--gen-key", "3", "--key-type", "rsa2048")
				},
				gnuPG: func() { b.gnupg.SCD("GENKEY 3") },
			},
		},
		{
			name:    "gen-csr",
			limit:   6,
			prepare: b.withKey,
			do: [programs]func(){
				cardctl: func() { b.traced("gen-csr", "--key", key, "--subject", subject) },
				openSC: func() {
					b.Run("openssl", "req", "-new", "-engine", "pkcs11", "-keyform", "engine",
						"-key", "pkcs11:token=OpenPGP%20card%20%28User%20PIN%29;id=%03;type=private;pin-value="+stack.UserPIN, "-subj", "/CN=Floppy Head", "-out", "opensc.csr")
				},
				gnuPG: func() {
					b.RunInput("Key-Type: card:"+key+"\nKey-Usage: sign\nName-DN: "+subject+"\n", "gpgsm", "--batch", "--armor", "--generate-key")
				},
			},
		},
		{
			name:    "enroll, from a CA in a file",
			limit:   10,
			prepare: b.withDeskCA,
			do: [programs]func(){
				cardctl: func() {
					b.traced("enroll", "--key", key, "--subject", subject, "--issuer", "ca:desk-ca?profile=client")
				},
			},
		},
		{
			name:    "import-cert",
			limit:   10,
			prepare: b.withCertificate,
			do: [programs]func(){
				cardctl: func() { b.traced("import-cert", "--key", key, "certificate.pem") },
				openSC: func() {
					b.Run("pkcs15-init", "--store-certificate", "certificate.pem", "--id", "3", "--auth-id", "3", "--verify-pin", "--pin", stack.AdminPIN)
				},
				gnuPG: func() {
					b.Run("openssl", "x509", "-in", "certificate.pem", "-outform", "DER", "-out", "certificate.der")
					b.Run("gpg-connect-agent", "/definqfile CERTDATA certificate.der", "SCD WRITECERT "+key, "/bye")
				},
			},
		},
		{
			name:    infoAlone,
			limit:   24,
			prepare: b.full,
			do:      [programs]func(){cardctl: func() { b.traced("info", "--reader", stack.ReaderName(0), "--module", noModule) }},
		},
		{
			name:    "info, three keys and certificates",
			limit:   46,
			prepare: b.full,
			do: [programs]func(){
				cardctl: func() { b.Run("cardctl", "info") },
				openSC:  func() { b.Run("pkcs15-tool", "--dump") },
				gnuPG:   func() { b.gnupg.CardStatus() },
			},
		},
	}
}

// blank erases the card and gives it its PINs.
func (b *bench) blank() { b.Run("cardctl", "init", "--yes") }

// withKey makes a key on a blank card.
func (b *bench) withKey() {
	b.blank()
	b.Run("cardctl", "gen-key", "--key", key, "--algorithm", b.algorithm)
}

// withCertificate makes a key, and a certificate for it that is not on the card.
func (b *bench) withCertificate() {
	b.withKey()
	b.certify(key)
}

// certify issues a certificate for a key without a request, for not every key
// can sign one.
func (b *bench) certify(key string) {
	public := b.Write("public.pem", b.Run("cardctl", "export-key", "--key", key), 0o600)
	b.ca.Certify(public, "/CN=Floppy Head", "certificate.pem")
}

// full makes three keys and puts three certificates beside them.
func (b *bench) full() {
	b.blank()
	for _, key := range []string{"OPENPGP.1", "OPENPGP.2", "OPENPGP.3"} {
		b.Run("cardctl", "gen-key", "--key", key, "--algorithm", b.algorithm)
		b.certify(key)
		b.Run("cardctl", "import-cert", "--key", key, "certificate.pem")
	}
}

// withDeskCA is a card with a key, and a new CA.
func (b *bench) withDeskCA() {
	b.withKey()
	b.Setenv("CARDCTL_ISSUER_SECRET", "4815162342")
	b.Run("cardctl", "ca", "init", "desk-ca", "--subject", "CN=Desk CA", "--password", "env:CARDCTL_ISSUER_SECRET")
}
