// Package p11 reaches keys through PKCS#11 modules: it finds and loads a
// module, tells what tokens and objects it shows, logs in once, signs and
// decrypts with a key that was matched by its public half, makes and removes keys
// and certificates, and initialises tokens. Whatever changes a token or carries a
// PIN is sent to the token that was chosen, and a PIN once. It alone knows
// miekg/pkcs11; a build without cgo has everything but the loading and says so
// at run time (problem.NotSupported).
//
// What the results mean is for its callers: package smoke decides which checks
// make a card usable, the command line prints.
//
// Terms are those of PKCS#11 2.40; EdDSA and the Montgomery curves are those
// of 3.0.
package p11
