package pcsc

import (
	"cmp"
	"context"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/gnupg"
)

// sortHolders puts the most likely holder first: GnuPG's card daemon, which keeps a
// card to itself for as long as it runs, unless it shares.
func sortHolders(list []Process) {
	unlikely := func(p Process) int {
		switch {
		case p.Shares:
			return 2
		case p.Name == gnupg.CardDaemon:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b Process) int {
		return cmp.Or(cmp.Compare(unlikely(a), unlikely(b)), cmp.Compare(a.PID, b.PID))
	})
}

// processes lists what runs on the system that proc (as proc(5)) describes.
func processes(ctx context.Context, proc fs.FS) []Process {
	entries, err := fs.ReadDir(proc, ".")
	if err != nil {
		return nil
	}
	var list []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || ctx.Err() != nil {
			continue
		}
		name, err := fs.ReadFile(proc, entry.Name()+"/comm")
		if err != nil || ended(proc, entry.Name()) {
			continue
		}
		list = append(list, Process{PID: pid, Name: strings.TrimSpace(string(name))})
	}
	return list
}

// ended reports a process that is over and was not waited for, as happens where
// no init runs: it holds nothing.
func ended(proc fs.FS, pid string) bool {
	stat, err := fs.ReadFile(proc, pid+"/stat")
	if err != nil {
		return false
	}
	// The state follows the name, which is in parentheses and may hold some.
	end := strings.LastIndex(string(stat), ") ")
	if end < 0 {
		return false
	}
	state := string(stat[end+2:])
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// holdsSocket reports whether the process has one of the sockets open, by
// inode. It is false where we may not look.
func holdsSocket(proc fs.FS, pid int, inodes map[uint32]bool) bool {
	directory := strconv.Itoa(pid) + "/fd"
	entries, err := fs.ReadDir(proc, directory)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		target, err := fs.ReadLink(proc, directory+"/"+entry.Name())
		if err != nil {
			continue
		}
		number, ok := strings.CutPrefix(target, "socket:[")
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
		if err == nil && inodes[uint32(inode)] {
			return true
		}
	}
	return false
}
