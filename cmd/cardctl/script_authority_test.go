//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"math/big"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// issue signs a request with a new authority: issue request certificate
// [-from days] [-days days] [-size bytes]. The authority's certificate is
// written to ca.pem.
func issue(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: issue request certificate [flags]")
	}
	flags := flag.NewFlagSet("issue", flag.ContinueOnError)
	from := flags.Int("from", 0, "")
	days := flags.Int("days", 7, "")
	size := flags.Int("size", 0, "")
	ts.Check(flags.Parse(args[2:]))

	block, _ := pem.Decode([]byte(ts.ReadFile(args[0])))
	if block == nil {
		ts.Fatalf("%s is not PEM", args[0])
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	ts.Check(err)
	ts.Check(request.CheckSignature())

	start := time.Now().Add(time.Duration(*from) * 24 * time.Hour).Add(-time.Minute)
	end := start.Add(time.Duration(*days) * 24 * time.Hour)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Snake Oil CA"},
		NotBefore: start.Add(-time.Hour), NotAfter: end.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, private.Public(), private)
	ts.Check(err)
	write(ts, "ca.pem", "CERTIFICATE", der)

	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), RawSubject: request.RawSubject,
		NotBefore: start, NotAfter: end, ExtraExtensions: request.Extensions,
	}
	if *size > 0 {
		padding := pkix.Extension{Id: []int{1, 3, 6, 1, 4, 1, 99999, 1}, Value: make([]byte, *size)}
		leaf.ExtraExtensions = append(leaf.ExtraExtensions, padding)
	}
	der, err = x509.CreateCertificate(rand.Reader, leaf, authority, request.PublicKey, private)
	ts.Check(err)
	write(ts, args[1], "CERTIFICATE", der)
}

// makePEM wraps and unwraps: pem -d file out writes the DER, pem -t n file out
// the first n bytes of it, pem -k file makes a private key.
func makePEM(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("pem", flag.ContinueOnError)
	decode := flags.Bool("d", false, "")
	truncate := flags.Int("t", 0, "")
	private := flags.Bool("k", false, "")
	ts.Check(flags.Parse(args))
	args = flags.Args()
	if *private {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		der, err := x509.MarshalPKCS8PrivateKey(k)
		ts.Check(err)
		write(ts, args[0], "PRIVATE KEY", der)
		return
	}
	block, _ := pem.Decode([]byte(ts.ReadFile(args[0])))
	if block == nil {
		ts.Fatalf("%s is not PEM", args[0])
	}
	der := block.Bytes
	if *truncate > 0 {
		der = der[:*truncate]
	} else if !*decode {
		ts.Fatalf("usage: pem -d|-t n file out, or pem -k out")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), der, 0o600))
}

func write(ts *testscript.TestScript, name, kind string, der []byte) {
	ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
