package setup

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/problem"
)

// strongSwan has charon prove itself with the key in IKE. strongswan.conf(5) and
// swanctl.conf(5) have the settings.
func strongSwan() target {
	return target{
		name: "strongswan", machine: true,
		needs: []program{
			{names: []string{"charon-systemd"}, pack: "charon-systemd"},
			{names: []string{"swanctl"}, pack: "strongswan-swanctl"},
			strongSwanPlugin("libstrongswan-pkcs11.so", "libstrongswan-extra-plugins"),
			strongSwanPlugin("libstrongswan-openssl.so", "libstrongswan-standard-plugins"),
		},
		accepts: []Option{advice.System, advice.CA},
		plan:    planStrongSwan,
		check:   checkStrongSwan,
	}
}

func strongSwanPlugin(file, pack string) program {
	return program{names: []string{file}, pack: pack, files: "/usr/lib/ipsec/plugins/" + file}
}

const (
	charonSettings = "/etc/strongswan.d/cardctl.conf"
	swanctlDir     = "/etc/swanctl"
	swanctlSecrets = swanctlDir + "/conf.d/cardctl.conf"
)

// charonUnit is charon-systemd, in Debian.
const charonUnit = "strongswan.service"

func planStrongSwan(ctx context.Context, j *job) (plan, error) {
	if err := j.asRoot(); err != nil {
		return plan{}, err
	}
	if err := j.suitsStrongSwan(); err != nil {
		return plan{}, err
	}
	if err := j.tellDriver(ctx); err != nil {
		return plan{}, err
	}
	if err := j.key.OnlyOne(ctx, j.key.public); err != nil {
		return plan{}, err
	}
	module, err := filepath.Abs(j.key.module) // a service works in another directory
	if err != nil {
		return plan{}, err
	}
	return j.strongSwanFiles(module), nil
}

// suitsStrongSwan refuses a key that charon does not find, or cannot use.
func (j *job) suitsStrongSwan() error {
	if err := j.certified("strongSwan"); err != nil {
		return err
	}
	switch j.key.public.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
	default:
		return doesNotUse("strongSwan", j.key.Ref, "of a PKCS#11 module it uses RSA keys, and EC keys on the curves of NIST.")
	}
	if j.key.known.SerializedID == "" {
		return problem.New(problem.NotSupported, "strongSwan does not find the key %s", j.key.Ref).
			Because("The module does not show its certificate with the ID of this key alone.").Advise(importCertificate(j.key.Ref))
	}
	for _, issuer := range j.CA {
		if !issuer.IsCA {
			return problem.New(problem.Mismatch, "strongSwan accepts only certificates of CAs as issuers").
				Because("That of %s does not say that it is one.", issuer.Subject).Advise(advice.Repeat(advice.Fill(advice.CA)))
		}
	}
	return nil
}

// strongSwanFiles are the entries. Charon searches for the fingerprint of the public key in
// the certificates that tokens show, and logs in only to the token that has it. By the ID of
// the key, or by a slot, it would log in to any card. The name of the module keeps the PIN
// from an engine of OpenSSL, which would do that too. Certificates on tokens are not loaded:
// those of CAs would be trusted.
func (j *job) strongSwanFiles(module string) plan {
	const heading = "# Written by cardctl setup strongswan.\n"
	pin := j.strongSwanPIN()
	settings := "charon {\n\tplugins {\n\t\tpkcs11 {\n\t\t\tload = yes\n\t\t\tmodules {\n\t\t\t\tcardctl {\n" +
		"\t\t\t\t\tpath = \"" + inSwan.Replace(module) + "\"\n" +
		"\t\t\t\t\tload_certs = no\n" +
		"\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n}\n"
	token := "secrets {\n\ttoken-cardctl {\n" +
		fmt.Sprintf("\t\thandle = %x\n", sha1.Sum(j.key.certificate.RawSubjectPublicKeyInfo)) +
		"\t\tmodule = cardctl\n" +
		"\t\t" + include(pin.Path) + "\n" +
		"\t}\n}\n"
	p := j.opensslForUnit(charonUnit, opensslconf.Additions{})
	p.entries = append([]entry{
		pin, // one that cannot be written leaves nothing else
		j.forRoot(charonSettings, heading+settings),
		j.forRoot(swanctlSecrets, heading+token),
		j.forRoot(swanctlDir+"/x509/"+serverCertificate, inPEM(j.key.certificate)),
	}, p.entries...)
	for i, issuer := range j.CA {
		p.entries = append(p.entries, j.forRoot(fmt.Sprintf("%s/x509ca/cardctl-%d.pem", swanctlDir, i+1), inPEM(issuer)))
	}
	p.notes = append(p.notes, "Write \"auth = pubkey\" and \"certs = "+serverCertificate+"\" into the local section of the connection.")
	restart := "systemctl restart " + strings.TrimSuffix(charonUnit, ".service")
	p.next, p.undone = append(p.next, restart), append(p.undone, restart)
	return p
}

func (j *job) forRoot(path, text string) *file {
	return &file{Path: j.Root + path, Mode: 0o644, Whole: &whole{text}}
}

func (j *job) strongSwanPIN() *pinFile {
	p := j.pinFile(j.Root+swanctlDir, "root")
	p.Before, p.After = "pin = \"", "\"\n"
	return p
}

// include has a configuration of strongSwan include a file.
func include(path string) string { return "include \"" + inSwan.Replace(path) + "\"" }

// inSwan writes a value between quotes into a configuration of strongSwan.
var inSwan = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
