package token

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/pin"
)

// askTPM asks tpm2_getcap how many wrong PINs the TPM takes yet: its module raises no
// flag. All PINs of all tokens of a TPM count together. What cannot be read is not
// known. A simulator that no resource manager stands before talks to one program at a
// time, which is the module: of such a one no flag is taken for more than one try.
func askTPM(ctx context.Context, env []string) (pin.Tries, error) {
	const module, tools, answers = "TPM2_PKCS11_TCTI=", "TPM2TOOLS_TCTI=", 5 * time.Second
	if env == nil {
		env = os.Environ()
	}
	if i := slices.IndexFunc(env, func(v string) bool { return strings.HasPrefix(v, module) }); i >= 0 {
		way := strings.TrimPrefix(env[i], module)
		if strings.HasPrefix(way, "swtpm") || strings.HasPrefix(way, "mssim") {
			return pin.Several(), nil
		}
		env = append(slices.Clone(env), tools+way)
	}
	limited, cancel := context.WithTimeout(ctx, answers)
	defer cancel()
	command := exec.CommandContext(limited, "tpm2_getcap", "properties-variable")
	command.Env = env
	out, err := command.Output()
	if err != nil {
		return pin.Unknown(), ctx.Err()
	}
	return tpmTries(out), nil
}

// tpmTries are the tries in the properties of a TPM (TPM 2.0 part 2, 6.13).
func tpmTries(properties []byte) pin.Tries {
	numbers := make(map[string]int)
	for _, name := range []string{"TPM2_PT_LOCKOUT_COUNTER", "TPM2_PT_MAX_AUTH_FAIL", "TPM2_PT_LOCKOUT_INTERVAL", "inLockout"} {
		found := regexp.MustCompile(`(?m)^\s*` + name + `:\s+(0[xX][0-9a-fA-F]{1,8}|[01])\s*$`).FindSubmatch(properties)
		if found == nil {
			return pin.Unknown()
		}
		n, err := strconv.ParseInt(string(bytes.ToLower(found[1])), 0, 64)
		if err != nil {
			return pin.Unknown()
		}
		numbers[name] = int(n)
	}
	switch left := numbers["TPM2_PT_MAX_AUTH_FAIL"] - numbers["TPM2_PT_LOCKOUT_COUNTER"]; {
	case numbers["inLockout"] != 0:
		return pin.Left(0)
	case numbers["TPM2_PT_LOCKOUT_INTERVAL"] == 0: // nothing is counted
		return pin.Several()
	default:
		return pin.Left(max(left, 0))
	}
}
