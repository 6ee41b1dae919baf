package ca

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"math/big"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// What an RSA key needs: SP 800-131A, 3, and FIPS 186-5, 5.1.
const (
	fewestBits     = 2048
	mostBits       = 16384
	leastExponent  = 1<<16 + 1
	roundsOfFermat = 100
)

// weak refuses public keys whose private half can be found.
func weak(public crypto.PublicKey) error {
	if other, ok := public.(*pubkey.Other); ok && other.RSA != nil {
		public = other.RSA
	}
	k, isRSA := public.(*rsa.PublicKey)
	why := ""
	agreement, _ := public.(*ecdh.PublicKey)
	other, _ := public.(*pubkey.Other)
	switch {
	case other != nil && !other.Curve.Has(other.Key):
		why = "Its point is not on the curve."
	case other != nil && other.Name() == "DSA":
		why = "DSA makes no new signatures (FIPS 186-5)."
	case key.AlgorithmOf(public) == "p224":
		why = "The curve P-224 is too short."
	case isForgeable(public):
		why = "Everybody can sign for it (RFC 8032, 8.6): the point has a small order."
	case agreement != nil && smallOrder(agreement):
		why = "What is agreed on with it is known to everybody (RFC 7748, 6.1)."
	case !isRSA:
	case k.N.BitLen() < fewestBits:
		why = "An RSA key needs at least 2048 bits."
	case k.N.BitLen() > mostBits:
		why = "Programs do not verify signatures of RSA keys longer than 16384 bits."
	case k.E < leastExponent || k.E%2 == 0:
		why = "Its public exponent is not odd, or is less than 65537 (FIPS 186-5, 5.1)."
	case k.N.Bit(0) == 0:
		why = "Its modulus is even."
	case hasSmallFactor(k.N):
		why = "Its modulus has a small factor."
	case isROCA(k.N):
		why = "It was made by a chip whose keys can be computed (ROCA, CVE-2017-15361)."
	case closePrimes(k.N):
		why = "Its primes are close to each other, so they can be computed."
	}
	if why == "" {
		return nil
	}
	return problem.New(problem.Mismatch, "the key is weak").Because("%s", why).Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
}

// hasSmallFactor reports whether a modulus can be divided by a number below a thousand.
func hasSmallFactor(modulus *big.Int) bool {
	const below = 1000
	for n := int64(3); n < below; n += 2 {
		if new(big.Int).Mod(modulus, big.NewInt(n)).Sign() == 0 {
			return true
		}
	}
	return false
}

// isROCA reports whether a modulus has the form of Infineon's library: modulo each of
// these primes it is a power of 65537 (Nemec and others, 2017, 3.2).
func isROCA(modulus *big.Int) bool {
	const generator = 65537
	for _, prime := range []int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
		89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		rest := new(big.Int).Mod(modulus, big.NewInt(prime)).Int64()
		power, found := int64(1), false
		for range prime {
			if found = power == rest; found {
				break
			}
			power = power * generator % prime
		}
		if !found {
			return false
		}
	}
	return true
}

// closePrimes does the first steps of Fermat's factorisation (CVE-2022-26320).
func closePrimes(modulus *big.Int) bool {
	a := new(big.Int).Sqrt(modulus)
	one := big.NewInt(1)
	for range roundsOfFermat {
		rest := new(big.Int).Sub(new(big.Int).Mul(a, a), modulus)
		if rest.Sign() >= 0 {
			root := new(big.Int).Sqrt(rest)
			if new(big.Int).Mul(root, root).Cmp(rest) == 0 {
				return true
			}
		}
		a.Add(a, one)
	}
	return false
}

// smallOrder reports whether a key agrees on zeros with every other one.
func smallOrder(public *ecdh.PublicKey) bool {
	other, err := public.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return false
	}
	_, err = other.ECDH(public)
	return err != nil
}

// isForgeable reports whether an Ed25519 key is one of the points of small order, in
// either sign: eight times such a point is zero, and so is what a signature has to match.
func isForgeable(public crypto.PublicKey) bool {
	point, is := public.(ed25519.PublicKey)
	if !is || len(point) != ed25519.PublicKeySize {
		return false
	}
	point = slices.Clone(point)
	point[len(point)-1] &= 0x7F // the sign
	return slices.Contains(smallPoints(), hex.EncodeToString(point))
}

func smallPoints() []string {
	return []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	}
}
