package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// readFile reads a file, or stdin for -, and one byte more than limit where it
// is longer, for its reader to see.
func (env *session) readFile(ctx context.Context, file string, limit int64) ([]byte, error) {
	if file == "-" {
		data, err := input.Stream(ctx, env.In, limit)
		return data, unreadable(ctx, err, "stdin")
	}
	data, err := input.File(ctx, file, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.Wrap(problem.NotFound, err, "cannot read "+file).
			Because("The file does not exist.").Advise(nearby(file))
	}
	return data, unreadable(ctx, err, file)
}

// nearby is advice to look at the nearest directory of a missing file.
func nearby(file string) advice.Advice {
	dir := filepath.Dir(file)
	for !input.Exists(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return advice.Run("ls", dir)
}

func unreadable(ctx context.Context, err error, what string) error {
	if err == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return problem.Wrap(problem.Failed, err, "cannot read "+what)
}

// writeFile writes a result. A pipe may wait for its reader.
func (env *session) writeFile(ctx context.Context, file string, data []byte) error {
	_, err := input.Interruptible(ctx, func() (struct{}, error) {
		return struct{}{}, output.WriteFile(file, data, 0o666)
	}, nil)
	return err
}
