package pcsc

import (
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestCodes(t *testing.T) {
	form := regexp.MustCompile(`^SCARD_[EFWP]_[A-Z_]+ [a-zP]`)
	for c := range codeMeanings {
		if !form.MatchString(c.Error()) {
			t.Errorf("%08X is %q", uint32(c), c)
		}
	}
	for c, want := range map[code]string{
		0x80100001: "SCARD_F_INTERNAL_ERROR", 0x8010001F: "SCARD_E_UNSUPPORTED_FEATURE", 0x80100022: "SCARD_E_UNSUPPORTED_FEATURE",
		0x80100099: "80100099",
	} {
		if runtime.GOOS != "windows" && !strings.Contains(c.Error(), want) {
			t.Errorf("%08X is %q, want %s", uint32(c), c, want)
		}
	}
}
