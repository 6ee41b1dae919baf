package gnupg

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"
)

func TestOf(t *testing.T) {
	const (
		ours   = "Name:\tscdaemon\nUid:\t1000\t1000\t1000\t1000\n"
		others = "Name:\tscdaemon\nUid:\t0\t1000\t1000\t1000\n"
		usual  = "scdaemon\x00--multi-server\x00"
		named  = "scdaemon\x00--multi-server\x00--homedir\x00/srv/keys\x00"
	)
	tests := map[string]struct {
		line, status string
		files        map[string]string
		want         Settings
		err          error
	}{
		"no file": {line: usual, status: ours},
		"both": {line: usual, status: ours, files: map[string]string{
			"home/me/.gnupg/scdaemon.conf": "# how cards are used\n  disable-ccid\npcsc-shared\t# with others\n"}, want: Settings{true, true}},
		"not what begins like it": {line: usual, status: ours, files: map[string]string{
			"home/me/.gnupg/scdaemon.conf": "#pcsc-shared\nlog-file pcsc-shared\npcsc-shared-x\ndisable-ccid-x\n"}},
		"without a last newline": {line: usual, status: ours, files: map[string]string{
			"home/me/.gnupg/scdaemon.conf": "reader-port A\r\npcsc-shared"}, want: Settings{Shared: true}},
		"for all users": {line: usual, status: ours, files: map[string]string{
			"etc/gnupg/scdaemon.conf": "disable-ccid\n", "home/me/.gnupg/scdaemon.conf": "pcsc-shared\n"}, want: Settings{true, true}},
		"another home": {line: named, status: others, files: map[string]string{
			"home/me/.gnupg/scdaemon.conf": "disable-ccid\n", "srv/keys/scdaemon.conf": "pcsc-shared\n"}, want: Settings{Shared: true}},
		"another home in one word": {line: "scdaemon\x00--homedir=/srv/keys\x00", files: map[string]string{
			"srv/keys/scdaemon.conf": "pcsc-shared\n"}, want: Settings{Shared: true}},
		"another user":     {line: usual, status: others, err: ErrOtherUser},
		"a home from here": {line: "scdaemon\x00--homedir\x00keys\x00", status: ours, err: fs.ErrInvalid},
		"over meanwhile":   {status: ours, err: fs.ErrNotExist},
		"over a bit later": {line: usual, err: fs.ErrNotExist},
		"not to be read":   {line: named, files: map[string]string{"srv/keys/scdaemon.conf/": ""}, err: fs.ErrInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, content := range test.files {
				file := &fstest.MapFile{Data: []byte(content)}
				if path[len(path)-1] == '/' {
					path, file = path[:len(path)-1], &fstest.MapFile{Mode: fs.ModeDir}
				}
				root[path] = file
			}
			if test.line != "" {
				root["proc/7/cmdline"] = &fstest.MapFile{Data: []byte(test.line)}
			}
			if test.status != "" {
				root["proc/7/status"] = &fstest.MapFile{Data: []byte(test.status)}
			}
			got, err := Of(root, 7, User{ID: 1000, Home: "/home/me"})
			if got != test.want || (err != nil) != (test.err != nil) {
				t.Errorf("%+v, %v", got, err)
			}
			if specific := test.err == ErrOtherUser || test.err == fs.ErrNotExist; specific && !errors.Is(err, test.err) {
				t.Errorf("%v, want %v", err, test.err)
			}
		})
	}
}
