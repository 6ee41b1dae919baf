package p11_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) {
	cleanup, err := softhsm.Setup()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	cleanup()
	os.Exit(code)
}
