package setup

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

// java has programs in Java use the key, through the provider SunPKCS11 of the JDK. Its
// reference guide has the settings.
func java() target {
	return target{
		name:    "java",
		needs:   []program{{names: []string{"jarsigner"}, pack: "default-jdk-headless"}},
		accepts: []Option{advice.User, advice.System, advice.Agent},
		loads:   true,
		plan:    planJava,
		check:   checkJava,
	}
}

func planJava(_ context.Context, j *job) (plan, error) {
	alias, err := j.javaAlias()
	if err != nil {
		return plan{}, err
	}
	if strings.ContainsAny(j.key.module, "\"\\\n") {
		return plan{}, problem.New(problem.NotSupported, "Java cannot name the module").
			Because("Its path has quotes, backslashes or line ends.").Advise(advice.Do(advice.ListTokens))
	}
	text := fmt.Sprintf("# Written by cardctl setup java.\nname = cardctl\nlibrary = \"%s\"\nslot = %d\n", j.key.module, j.key.token.Slot)
	settings := &file{Path: j.javaSettings(), Mode: 0o644, Whole: &whole{text}}
	protected := ""
	if j.Agent {
		protected = javaProtected + " "
	}
	return plan{
		entries: []entry{settings},
		next:    []string{"jarsigner -addprovider SunPKCS11 -providerArg " + typed.Quoted(settings.Path) + " -keystore NONE -storetype PKCS11 " + protected + "FILE.jar " + typed.Quoted(alias)},
		notes:   append(j.agentNotes(), "The number of the slot changes if readers are added or removed. Then set up Java again."),
	}, nil
}

// javaProtected says that the PIN is not entered in Java.
const javaProtected = "-protected"

// javaSettings is the file that the provider is given.
func (j *job) javaSettings() string {
	if j.System {
		return j.Root + "/etc/cardctl/java-pkcs11.cfg"
	}
	return filepath.Join(j.config(), "cardctl/java-pkcs11.cfg")
}

// javaAlias is what Java's key store calls the key: the label of its certificate.
func (j *job) javaAlias() (string, error) {
	label := j.key.known.CertificateLabel
	switch {
	case j.key.certificate == nil || label == nil:
		return "", problem.New(problem.NotFound, "the module shows no certificate for %s", j.key.Ref).
			Because("Java finds a key by its certificate.").Advise(importCertificate(j.key.Ref))
	case *label == "":
		return "", problem.New(problem.NotSupported, "the certificate of %s has no label", j.key.Ref).
			Because("Java calls a key by it.").Advise(importCertificate(j.key.Ref))
	}
	return *label, nil
}

// checkJava has jarsigner sign a file, and verify it.
func checkJava(ctx context.Context, j *job) (string, error) {
	alias, err := j.javaAlias()
	if err != nil {
		return "", err
	}
	dir, err := temporary()
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	jar := filepath.Join(dir, "check.jar")
	if err := writeJar(jar); err != nil {
		return "", unwritable(jar, err)
	}
	const variable = "SETUP_CHECK"
	err = j.sendPIN(ctx, func(ctx context.Context, value *secret.Bytes) error {
		environment, login := []string(nil), []string{javaProtected}
		if value != nil {
			environment, login = []string{variable + "=" + string(value.Reveal())}, []string{"-storepass:env", variable}
		}
		sign := []string{"-addprovider", "SunPKCS11", "-providerArg", j.javaSettings(), "-keystore", "NONE", "-storetype", p11.JavaKeyStore}
		_, err := j.run(ctx, environment, "jarsigner", slices.Concat(sign, login, []string{jar, alias})...)
		return err
	})
	if err != nil {
		return "", err
	}
	said, err := j.run(ctx, nil, "jarsigner", "-verify", jar)
	if err == nil && !strings.Contains(said, "jar verified") {
		err = problem.New(problem.Failed, "jarsigner does not verify what it signed").Because("It reports: %s", problem.Sentence(lastLine([]byte(said))))
	}
	return "jarsigner signs a file with the key, and verifies it", err
}

// writeJar writes a file that jarsigner can sign.
func writeJar(path string) error {
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	for name, content := range map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\n\r\n", "check": "check\n"} {
		w, err := archive.Create(name)
		if err != nil {
			return err
		}
		if _, err := w.Write([]byte(content)); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
