package release

import (
	"runtime/debug"
	"testing"
)

func TestVersionOfEveryWayToBuild(t *testing.T) {
	tests := []struct {
		name     string
		linked   Release
		main     string
		settings map[string]string
		want     Release
	}{
		{
			name:     "a release",
			linked:   Release{Version: "1.2.3", Commit: "80f87f02c5b2", Date: "2026-11-20T21:37:50Z"},
			main:     "(devel)",
			settings: map[string]string{"vcs.revision": "ffff", "vcs.time": "2020-01-01T00:00:00Z", "vcs.modified": "true"},
			want:     Release{Version: "1.2.3", Commit: "80f87f02c5b2", Date: "2026-11-20T21:37:50Z"},
		},
		{
			name: "go install module@version",
			main: "v1.2.3",
			want: Release{Version: "v1.2.3"},
		},
		{
			name: "go install module@commit",
			main: "v1.2.4-0.20261120213750-80f87f02c5b2",
			want: Release{Version: "v1.2.4-0.20261120213750-80f87f02c5b2", Commit: "80f87f02c5b2", Date: "2026-11-20T21:37:50Z"},
		},
		{
			name: "go install module@commit, before any tag",
			main: "v0.0.0-20261120213750-80f87f02c5b2",
			want: Release{Version: "v0.0.0-20261120213750-80f87f02c5b2", Commit: "80f87f02c5b2", Date: "2026-11-20T21:37:50Z"},
		},
		{
			name:     "go build in a repository",
			main:     "v1.2.4-0.20261120213750-80f87f02c5b2+dirty",
			settings: map[string]string{"vcs.revision": "80f87f02c5b282f9", "vcs.time": "2026-11-20T21:37:50Z", "vcs.modified": "true"},
			want: Release{
				Version: "v1.2.4-0.20261120213750-80f87f02c5b2+dirty",
				Commit:  "80f87f02c5b282f9 with changes", Date: "2026-11-20T21:37:50Z",
			},
		},
		{
			name: "go build without a repository",
			main: "(devel)",
			want: Release{Version: "(devel)"},
		},
		{
			name: "go build of one file",
			want: Release{Version: "(devel)"},
		},
		{
			name: "a version that only looks like that of a commit",
			main: "v1.2.3-99999999999999-80f87f02c5b2",
			want: Release{Version: "v1.2.3-99999999999999-80f87f02c5b2"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			info := &debug.BuildInfo{Main: debug.Module{Version: test.main}}
			for key, value := range test.settings {
				info.Settings = append(info.Settings, debug.BuildSetting{Key: key, Value: value})
			}
			if got := test.linked.Completed(info); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}
