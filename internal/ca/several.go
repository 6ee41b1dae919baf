package ca

import (
	"path/filepath"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Destinations are the files in a directory for the certificates of several requests: each
// has the name of its request, with another ending. No two are the same, and none is one of
// the requests.
func Destinations(requests []string, dir, ending string) (files []string, err error) {
	of := map[string]string{}
	for _, request := range requests {
		of[filepath.Clean(request)] = request
	}
	for _, request := range requests {
		name := filepath.Base(request)
		if request == "-" {
			name = "stdin"
		}
		file := filepath.Join(dir, strings.TrimSuffix(name, filepath.Ext(name))+ending)
		if other, is := of[file]; is {
			return nil, problem.New(problem.Usage, "the certificate for %s would replace %s", request, other).
				Because("It would be written to %s.", file).Advise(advice.Run("ls", dir))
		}
		of[file] = "the one for " + request
		files = append(files, file)
	}
	return files, nil
}
