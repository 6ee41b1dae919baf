package pkcs15

import (
	"context"
	"crypto"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// driver is what differs between kinds of cards. There are three: openSC reaches
// a card through OpenSC's programs alone, and isoApplet and myEIDCard, which share
// direct, leave to it what they do not do by commands of this program.
type driver interface {
	facts() facts

	// identity looks which card is on a channel.
	identity(ctx context.Context, ch *iso7816.Channel) (Identity, error)

	// directory adds the parts that are wanted to what is known, nil for
	// nothing; errNoStructure where there is none.
	directory(ctx context.Context, known *Directory, wanted part) (*Directory, error)
	// tokenInfo adds label and serial.
	tokenInfo(ctx context.Context, d *Directory) error
	// authentication are the PINs as the directory has them.
	authentication(ctx context.Context, d *Directory) ([]PIN, error)
	content(ctx context.Context, at location, option string, id []byte) ([]byte, error)
	// publicInKey is the public half of a key that has no object of its own;
	// nil where the card does not tell it.
	publicInKey(ctx context.Context, id []byte) (crypto.PublicKey, error)

	// tries is -1 where the card does not tell, whatever it is asked.
	tries(ctx context.Context, p PIN) (int, error)
	changePIN(ctx context.Context, p PIN, old, replacement *secret.Bytes) error
	unblockPIN(ctx context.Context, p, byPUK PIN, puk, replacement *secret.Bytes) error
	puk(ctx context.Context, p PIN) (PIN, error)

	status(ctx context.Context) (Status, error)
	// erasable refuses a card that can never be erased.
	erasable(ctx context.Context, s Status) error
	create(ctx context.Context, s Status, f First, progress func(state string)) error
	check(ctx context.Context, d *Directory, f First) error

	// writesWith refuses a PIN of a key with which the directory of keys cannot
	// be written.
	writesWith(p PIN) error
	// usable refuses a card that OpenSC is known to leave half-made.
	usable(ctx context.Context) error
	checkAlgorithm(ctx context.Context, algorithm string) error
	checkImport(ctx context.Context, p PIN, pin *secret.Bytes) error
	generateKey(ctx context.Context, k NewKey, pin *secret.Bytes) error
	// putKey has pkcs15-init put a key on the card.
	putKey(ctx context.Context, what string, k NewKey, pin *secret.Bytes, job call) error
	// begun reports whether an interrupted putKey is known to have left a key.
	begun(ctx context.Context, id []byte) (bool, error)
	storeCertificate(ctx context.Context, n NewCertificate, pin *secret.Bytes) error
	deleteCertificate(ctx context.Context, id []byte, p PIN, pin *secret.Bytes, now time.Time) error

	// signsWith refuses a signature that the card does not make.
	signsWith(k *PrivateKey, opts crypto.SignerOpts) error
	sign(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, digest []byte, opts crypto.SignerOpts) ([]byte, error)

	// decryptsWith and derives refuse what the card does not do.
	decryptsWith(k *PrivateKey, opts crypto.DecrypterOpts) error
	derives(k *PrivateKey) error
	decrypt(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, cryptogram []byte, opts crypto.DecrypterOpts) ([]byte, error)
	derive(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, point []byte) ([]byte, error)
}

// facts are what holds for all cards of a driver.
type facts struct {
	driver string // OpenSC's name for its driver; empty where it is not known
	known  bool   // the card is told without OpenSC

	onePIN        bool // a single PIN, which is the SO PIN too
	needsPUK      bool // there is no PIN without a PUK
	userPINWrites bool // certificates, whichever PIN a key has
	algorithm     string
	onlyPKCS1     bool // RSA signatures, and no PSS

	// Those of a card that has none yet: lengths as far as they are known.
	pin, puk, soPIN PIN
}
