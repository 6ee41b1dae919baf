package setup

import (
	"fmt"
	"strings"
)

// maxDifference bounds the lines of a difference that are shown, of each side.
const maxDifference = 20

// difference shows the lines of what cardctl writes, after -, and of what is there
// instead, after +, without those that are alike at both ends.
func difference(own, there string) string {
	a, b := strings.Split(strings.TrimSuffix(own, "\n"), "\n"), strings.Split(strings.TrimSuffix(there, "\n"), "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) == 0 && len(b) == 0 {
		return "the line ends differ"
	}
	return signed("-", a) + signed("+", b)
}

func signed(sign string, lines []string) string {
	var text strings.Builder
	for i, line := range lines {
		if i == maxDifference {
			fmt.Fprintf(&text, "%s … %d more lines\n", sign, len(lines)-i)
			break
		}
		fmt.Fprintf(&text, "%s %s\n", sign, line)
	}
	return text.String()
}
