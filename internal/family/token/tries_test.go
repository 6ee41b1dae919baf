package token

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
)

// What the flags of a token say of the tries of a PIN.
func TestTriesByTheFlags(t *testing.T) {
	lost := errors.New("no token")
	for name, test := range map[string]struct {
		blank   bool
		certain bool
		state   p11.PINState
		err     error
		want    pin.Tries
	}{
		"locked":                            {certain: true, state: p11.PINState{Locked: true}, want: pin.Left(0)},
		"the last one":                      {certain: true, state: p11.PINState{FinalTry: true}, want: pin.Left(1)},
		"was wrong before":                  {certain: true, state: p11.PINState{CountLow: true}, want: pin.Few()},
		"no flag":                           {certain: true, want: pin.Several()},
		"locked, by OpenSC's module":        {state: p11.PINState{Locked: true}, want: pin.Left(0)},
		"the last one, by OpenSC's module":  {state: p11.PINState{FinalTry: true}, want: pin.Left(1)},
		"no flag of OpenSC's, and no tools": {want: pin.Unknown()},
		"not initialised":                   {blank: true, state: p11.PINState{Locked: true}, want: pin.Several()},
		"gone":                              {certain: true, err: lost, want: pin.Unknown()},
	} {
		t.Run(name, func(t *testing.T) {
			c := counter{
				of: p11.Token{Initialized: !test.blank}, r: p11.User,
				state: func(context.Context) (p11.PINState, error) { return test.state, test.err },
			}
			if !test.certain {
				c.ask = func(ctx context.Context) (pin.Tries, error) {
					return askOpenSC(ctx, c.of, c.r, []string{"PATH=/nowhere"})
				}
			}
			if got, err := described(&p11.Module{}, c.of, c.r, c).Tries(t.Context(), false); got != test.want || !errors.Is(err, test.err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// What a TPM says of itself.
func TestTriesOfATPM(t *testing.T) {
	properties := func(lockout, counter, most, interval string) string {
		return "TPM2_PT_PERMANENT:\n  ownerAuthSet:              0\n  inLockout:                 " + lockout + "\n" +
			"TPM2_PT_LOCKOUT_COUNTER: " + counter + "\nTPM2_PT_MAX_AUTH_FAIL: " + most + "\nTPM2_PT_LOCKOUT_INTERVAL: " + interval + "\n"
	}
	for name, test := range map[string]struct {
		properties string
		want       pin.Tries
	}{
		"all":              {properties("0", "0x0", "0x20", "0x1C20"), pin.Left(32)},
		"one":              {properties("0", "0x2", "0x3", "0x3E8"), pin.Left(1)},
		"none":             {properties("0", "0x3", "0x3", "0x3E8"), pin.Left(0)},
		"fewer than none":  {properties("0", "0x5", "0x3", "0x3E8"), pin.Left(0)},
		"in lockout":       {properties("1", "0x0", "0x3", "0x3E8"), pin.Left(0)},
		"nothing counted":  {properties("0", "0x0", "0x3", "0x0"), pin.Several()},
		"no answer":        {"", pin.Unknown()},
		"another answer":   {properties("0", "0x0", "many", "0x3E8"), pin.Unknown()},
		"without lockout":  {properties("", "0x0", "0x3", "0x3E8"), pin.Unknown()},
		"too large number": {properties("0", "0x0", "0x100000000", "0x3E8"), pin.Unknown()},
	} {
		if got := tpmTries([]byte(test.properties)); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestWhoTellsTheTriesOfATPM has a stand-in for tpm2_getcap.
func TestWhoTellsTheTriesOfATPM(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if got, err := askTPM(t.Context(), nil); got != pin.Unknown() || err != nil {
		t.Errorf("without the program: %+v, %v", got, err)
	}
	script := "#!/bin/sh\necho \"inLockout: 0\nTPM2_PT_LOCKOUT_COUNTER: 0x1\nTPM2_PT_MAX_AUTH_FAIL: 0x3\nTPM2_PT_LOCKOUT_INTERVAL: 0x1\"\n" +
		"[ \"$1 $TPM2TOOLS_TCTI\" = \"properties-variable $WANTED\" ]\n"
	if err := os.WriteFile(filepath.Join(dir, "tpm2_getcap"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env  []string
		want pin.Tries
	}{
		{[]string{"WANTED=tabrmd:", "TPM2_PKCS11_TCTI=tabrmd:"}, pin.Left(2)},
		{[]string{"WANTED=device:/dev/tpmrm0", "TPM2TOOLS_TCTI=swtpm:", "TPM2_PKCS11_TCTI=device:/dev/tpmrm0"}, pin.Left(2)},
		{[]string{"WANTED=tabrmd:", "TPM2TOOLS_TCTI=tabrmd:"}, pin.Left(2)},
		{[]string{"WANTED=fails"}, pin.Unknown()},
		{[]string{"TPM2_PKCS11_TCTI=swtpm:path=x"}, pin.Several()},
		{[]string{"TPM2_PKCS11_TCTI=mssim:host=x"}, pin.Several()},
	} {
		if got, err := askTPM(t.Context(), test.env); got != test.want || err != nil {
			t.Errorf("%q: %+v, %v", test.env, got, err)
		}
	}
}
