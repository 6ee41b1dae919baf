// Package input reads the files and streams that a user names. Reading is
// bounded and ends with the context, even if a pipe has no writer or a file no
// end. What is in a file is left to its callers.
package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File reads a file, and one byte more than limit if the file is longer, so that
// its reader sees it.
func File(ctx context.Context, path string, limit int64) ([]byte, error) {
	return Interruptible(ctx, func() ([]byte, error) {
		f, err := os.Open(path) // waits for the writer of a pipe
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		return io.ReadAll(io.LimitReader(f, limit+1))
	}, nil)
}

// Regular reads a file that cardctl wrote itself. What is no file, such as a pipe, which
// might never end, or is longer than limit, is an error.
func Regular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: path, Err: errNotRegular}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is longer than %d bytes", limit)}
	}
	return data, err
}

var errNotRegular = errors.New("it is not a regular file")

// Stream reads a stream to its end, bounded like File.
func Stream(ctx context.Context, r io.Reader, limit int64) ([]byte, error) {
	return Interruptible(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, limit+1)) }, nil)
}

// Interruptible runs f, which may block, and returns the context's error as soon
// as that ends. What f returns later goes to late, if there is one.
func Interruptible[T any](ctx context.Context, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		if late != nil {
			go func() { late((<-done).value) }()
		}
		var none T
		return none, ctx.Err()
	}
}

// Exists reports whether there is a file, directory or link with this name.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
