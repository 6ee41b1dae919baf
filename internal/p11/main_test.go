package p11_test

import (
	"os"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
)

func TestMain(m *testing.M) { os.Exit(softhsm.Main(m)) }
