package openvpn

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/opensslconf"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/secret"
)

// The variable that makes this test program OpenVPN: the file with what it does.
const playsVariable = "PLAYS_OPENVPN"

func TestMain(m *testing.M) {
	if play := os.Getenv(playsVariable); play != "" {
		os.Exit(openVPN(play, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// openVPN stands in for OpenVPN. It does what the lines of a file say: connect, send the
// line, wait for one with a beginning, say something, exit. What it is sent goes to a file
// beside that, and so do its arguments.
func openVPN(play string, args []string) int {
	text, err := os.ReadFile(play)
	if err != nil {
		return 90
	}
	record, err := os.Create(play + ".got")
	if err != nil {
		return 91
	}
	fmt.Fprintln(record, strings.Join(args, " "), os.Getenv(opensslconf.Variable))
	var conn net.Conn
	var lines *bufio.Reader
	for step := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(step, "\n"), " ")
		switch word {
		case "connect":
			if conn, err = comeIn(args); err != nil {
				fmt.Fprintln(record, err)
				return 92
			}
			lines = bufio.NewReader(conn)
		case "send":
			fmt.Fprint(conn, rest, "\r\n")
		case "pid":
			fmt.Fprintf(conn, "SUCCESS: pid=%d\r\n", os.Getpid())
		case "raw":
			fmt.Fprint(conn, rest)
		case "long":
			_, _ = conn.Write(make([]byte, 3*longestLine))
		case "wait":
			for {
				line, err := lines.ReadString('\n')
				fmt.Fprint(record, line)
				if err != nil || strings.HasPrefix(line, "signal \"SIGTERM\"") {
					fmt.Fprintln(record, "ended")
					return 0
				}
				if strings.HasPrefix(line, rest) {
					break
				}
			}
		case "say":
			fmt.Println(rest)
		case "conf":
			conf, _ := os.ReadFile(os.Getenv(opensslconf.Variable))
			fmt.Fprint(record, string(conf))
		case "leave": // somebody else keeps the connection until it is told something
			file, err := conn.(*net.UnixConn).File()
			if err != nil {
				return 93
			}
			other := exec.Command("sh", "-c", "head -c 1 <&3")
			other.ExtraFiles = []*os.File{file}
			if err := other.Start(); err != nil {
				return 94
			}
			return 0
		case "sleep":
			time.Sleep(time.Second)
		case "close":
			_ = conn.Close()
		case "exit":
			return len(rest)
		}
	}
	return 0
}

// comeIn connects as --management says.
func comeIn(args []string) (net.Conn, error) {
	at := slices.Index(args, "--management")
	if at < 0 || args[at+2] == "unix" {
		return net.Dial("unix", args[at+1])
	}
	password, err := os.ReadFile(args[at+3])
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", args[at+1]+":"+args[at+2])
	if err != nil {
		return nil, err
	}
	fmt.Fprint(conn, "ENTER PASSWORD:")
	given := make([]byte, len(password))
	if _, err := io.ReadFull(conn, given); err != nil || string(given) != string(password) {
		return nil, fmt.Errorf("the password is %q, %v", given, err)
	}
	fmt.Fprint(conn, "SUCCESS: password is correct\r\n")
	return conn, nil
}

// stage is one run with OpenVPN as a file says.
type stage struct {
	t       *testing.T
	setting *setting
	wanted  *wanted
	play    string
	log     []string
	typed   []string // what is typed as the PIN, one after the other
	asked   int
	counted func() int // wrong PINs so far
	read    []string   // what was done, in its order
	gone    error      // of the card
	let     int
}

const (
	rightPIN = `24"68\13`
	quoted   = `"24\"68\\13"`
	label    = `it's "my" \ card`
	theID    = `maker/model/0815/it\x27s\x20\x22my\x22\x20\x5C\x20card/03`
	sentID   = `"maker/model/0815/it\\x27s\\x20\\x22my\\x22\\x20\\x5C\\x20card/03"`
)

func newStage(t *testing.T, lines ...string) *stage {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "vpn") // short, for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	st := &stage{t: t, play: filepath.Join(dir, "play"), typed: []string{rightPIN}, counted: func() int { return 0 }}
	if err := os.WriteFile(st.play, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	st.setting = &setting{
		desk:    &desk.Desk{ChildEnv: append(os.Environ(), playsVariable+"="+st.play)},
		program: program, module: "/module.so", settles: time.Minute,
		options: Options{Config: "client.ovpn", Log: func(line string) { st.log = append(st.log, line) }},
	}
	ask := func(context.Context, secret.Request) (*secret.Bytes, error) {
		st.read = append(st.read, "ask")
		value := st.typed[min(st.asked, len(st.typed)-1)]
		st.asked++
		return secret.New([]byte(value)), nil
	}
	st.wanted = &wanted{
		Key: &lend.Key{
			Ref: "KEY", Policy: pin.New(ask, pin.Allow{}),
			Leave: func() error { st.let++; return nil },
			Still: func(context.Context) error { return st.gone },
		},
		certificate: &cert.Certificate{Raw: []byte("certificate")},
		token:       p11.Token{Label: label, Manufacturer: "maker", Model: "model", Serial: "0815"},
		pin: pin.PIN{Role: pin.User, Secret: secret.PIN, Min: 4, Max: 12, Tries: func(context.Context, bool) (pin.Tries, error) {
			st.read = append(st.read, "tries")
			if strings.Contains(st.got(), "ended") {
				st.read[len(st.read)-1] += " after the end"
			}
			return pin.Left(3 - st.counted()), nil
		}},
	}
	return st
}

// run runs it to its end, which has to come.
func (st *stage) run() error {
	st.t.Helper()
	ctx, stop := context.WithTimeout(st.t.Context(), 15*time.Second)
	defer stop()
	st.setting.options.Lasting = ctx
	err := st.setting.launch(ctx, st.wanted)
	if ctx.Err() != nil {
		st.t.Fatalf("no end: %v\n%s", err, st.got())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(st.play), "cardctl-openvpn-*")); len(left) > 0 {
		st.t.Errorf("left behind: %v", left)
	}
	return err
}

// got is what OpenVPN got.
func (st *stage) got() string {
	st.t.Helper()
	text, err := os.ReadFile(st.play + ".got")
	if err != nil {
		st.t.Fatal(err)
	}
	return string(text)
}

func (st *stage) passwords() int { return strings.Count(st.got(), "\npassword ") }

// begins is how every run begins: up to the certificate.
var begins = []string{
	"connect", "send >INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info",
	"send >HOLD:Waiting for hold release:0", `wait hold "release"`, "send SUCCESS: hold release succeeded",
}

func picks(entries ...entry) []string {
	lines := []string{"send >NEED-STR:Need 'pkcs11-id-request' string MSG:Please specify PKCS#11 id to use", "wait pid", "pid", "wait pkcs11-id-count",
		fmt.Sprintf("send >PKCS11ID-COUNT:%d", len(entries))}
	for i, e := range entries {
		lines = append(lines, fmt.Sprintf(`wait pkcs11-id-get "%d"`, i), entryLine(i, e))
		if string(e.der) == "certificate" && e.id == theID {
			return append(lines, "wait needstr", "send SUCCESS: entered")
		}
	}
	return lines
}

func entryLine(i int, e entry) string {
	return fmt.Sprintf("send >PKCS11ID-ENTRY:'%d', ID:'%s', BLOB:'%s'", i, e.id, base64.StdEncoding.EncodeToString(e.der))
}

const (
	asksPIN   = "send >PASSWORD:Need '" + label + " token' password"
	connected = "send >STATE:1795947998,CONNECTED,SUCCESS,,127.0.0.1,11194,,"
)

var own = entry{theID, []byte("certificate")}
