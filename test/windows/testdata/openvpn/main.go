// Command openvpn stands in for OpenVPN for Windows, as far as its management interface
// goes. What it has to say and to hear is in comments of its configuration.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	args := os.Args[1:]
	configuration, err := os.ReadFile(args[slices.Index(args, "--config")+1])
	if err != nil {
		fail(err)
	}
	at := args[slices.Index(args, "--management")+1:]
	if os.Getenv("IMPOSTOR") != "" {
		impostor(at)
		return
	}
	if strings.Contains(string(configuration), ";impostor") {
		other := exec.Command(os.Args[0], args...)
		other.Env = append(os.Environ(), "IMPOSTOR=1")
		heard, err := other.CombinedOutput()
		fmt.Printf("another process heard %q, %v\n", heard, err)
	}
	conn := connect(at)
	password, err := os.ReadFile(at[2])
	if err != nil {
		fail(err)
	}
	fmt.Fprint(conn, "ENTER PASSWORD:")
	lines := bufio.NewReader(conn)
	hear(lines, strings.TrimSpace(string(password)))
	fmt.Fprint(conn, "SUCCESS: password is correct\r\n>HOLD:Waiting for hold release:0\r\n")
	for line := range strings.Lines(string(configuration)) {
		line = strings.TrimRight(line, "\r\n")
		if text, ok := strings.CutPrefix(line, ";say "); ok {
			fmt.Fprint(conn, strings.ReplaceAll(text, "PID", fmt.Sprint(os.Getpid())), "\r\n")
		}
		if text, ok := strings.CutPrefix(line, ";hear "); ok {
			hear(lines, text)
		}
	}
	fmt.Println("all was heard")
}

// connect connects as the arguments behind --management say.
func connect(at []string) net.Conn {
	conn, err := net.Dial("tcp", at[0]+":"+at[1])
	if err != nil {
		fail(err)
	}
	return conn
}

// impostor connects before OpenVPN does, as any program can.
func impostor(at []string) {
	conn := connect(at)
	fmt.Fprint(conn, "ENTER PASSWORD:>PASSWORD:Need 'desk token' password\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		fail(err)
	}
	heard, _ := io.ReadAll(conn)
	fmt.Print(string(heard))
}

// hear waits for a line.
func hear(lines *bufio.Reader, want string) {
	for {
		line, err := lines.ReadString('\n')
		line = strings.TrimSpace(line)
		switch {
		case line == want:
			return
		case strings.HasPrefix(line, `signal "SIGTERM"`):
			fmt.Println("ended in order")
			os.Exit(0)
		case err != nil:
			fail(fmt.Errorf("%q was not heard: %w", want, err))
		}
	}
}

func fail(err error) {
	fmt.Println(err)
	os.Exit(1)
}
