package packaging

import (
	"bytes"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/advice"
)

// Kind is what a file is that has no structure that can be read here.
type Kind struct {
	// Name follows "The file holds".
	Name string
	// Next makes of it what can be read; it is empty if nothing does.
	Next advice.Advice
}

// Name says what a file is.
func Name(data []byte) Kind {
	text := Text(data)
	for _, known := range kinds() {
		for _, prefix := range known.prefixes {
			if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte(prefix)) || bytes.HasPrefix(data, []byte(prefix)) {
				return known.Kind
			}
		}
	}
	if utf8.Valid(text) && bytes.IndexByte(text, 0) < 0 {
		return Kind{Name: "text that is not PEM"}
	}
	return Kind{Name: "data of an unknown kind"}
}

type named struct {
	Kind
	prefixes []string
}

// kinds are those that people take for certificates and keys.
func kinds() []named {
	keytool := func(kind string) advice.Advice {
		return advice.Run("keytool", "-importkeystore", "-srckeystore", "FILE", "-srcstoretype", kind, "-destkeystore", "out.p12", "-deststoretype", "PKCS12")
	}
	return []named{
		{Kind{"a Java keystore (JKS)", keytool("JKS")}, []string{"\xFE\xED\xFE\xED"}},
		{Kind{"a Java keystore (JCEKS)", keytool("JCEKS")}, []string{"\xCE\xCE\xCE\xCE"}},
		{Kind{"a key of PuTTY", advice.Run("puttygen", "FILE", "-O", "private-openssh", "-o", "key.pem")}, []string{"PuTTY-User-Key-File-"}},
		{Kind{"an SSH public key", advice.Advice{}}, []string{"ssh-rsa ", "ssh-ed25519 ", "ssh-dss ", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2 PUBLIC KEY"}},
		{Kind{"data compressed with gzip", advice.Run("gunzip", "FILE")}, []string{"\x1F\x8B"}},
		{Kind{"a ZIP archive", advice.Run("unzip", "FILE")}, []string{"PK\x03\x04"}},
		{Kind{"a PDF document", advice.Advice{}}, []string{"%PDF-"}},
		{Kind{"a web page", advice.Advice{}}, []string{"<!DOCTYPE html", "<!doctype html", "<html", "<HTML"}},
		{Kind{"an XML document", advice.Advice{}}, []string{"<?xml"}},
		{Kind{"a JSON document", advice.Advice{}}, []string{"{", "["}},
	}
}
