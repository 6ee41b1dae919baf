package pcsc

import (
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/cardctl/cardctl/internal/advice"
)

func TestHowTheDaemonIsStarted(t *testing.T) {
	systemd := fstest.MapFS{"run/systemd/system/a": &fstest.MapFile{}}
	if next := startIn(systemd); !reflect.DeepEqual(next, advice.Run("systemctl", "start", "pcscd.socket")) {
		t.Errorf("with systemd: %+v", next)
	}
	if next := startIn(fstest.MapFS{}); next.Action != advice.Diagnose {
		t.Errorf("without systemd: %+v", next)
	}
}
