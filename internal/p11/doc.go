// Package p11 reaches keys through PKCS#11 modules: it finds and loads a
// module, lists its tokens and objects, logs in once, signs and decrypts with a
// key that was matched by its public half, generates and deletes keys and
// certificates, and initialises tokens. Everything that changes a token or
// carries a PIN is sent to the token that was chosen, and a PIN only once. It
// is the only importer of miekg/pkcs11. A build without cgo has everything
// except the loading, and reports this at run time (problem.NotSupported).
//
// What the results mean is left to its callers: package smoke decides which
// checks make a card usable, the command line prints.
//
// Terms are those of PKCS#11 2.40; EdDSA and the Montgomery curves are those of
// 3.0.
package p11

// JavaKeyStore is Java's name for the type of key store that a module is.
const JavaKeyStore = "PKCS11"
