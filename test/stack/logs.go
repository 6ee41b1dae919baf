package stack

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// shownOfLog is how much a failed test shows of the end of a log, in bytes.
const shownOfLog = 8 << 10

// keepsLog notes a file with the output of a program that Start started.
func (d *Desk) keepsLog(name string) {
	if !slices.Contains(d.logs, name) {
		d.logs = append(d.logs, name)
	}
}

// explain shows the ends of all logs if the test failed: of a failure on another machine,
// nothing else is seen.
func (d *Desk) explain() {
	if !d.tb.Failed() {
		return
	}
	for _, name := range d.logs {
		end, err := endOf(d.Path(name), shownOfLog)
		if err != nil {
			end = err.Error()
		}
		d.tb.Logf("the end of %s:\n%s", name, end)
	}
}

// endOf returns at most so many bytes of the end of a file.
func endOf(path string, most int64) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	end, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-most), most))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(end), nil
}
