package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/zswapd/zswapd/internal/run"
)

// checkOutput finds out now whether a result can be written, not when it is there. "" is no file, - the standard output.
func checkOutput(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return run.UsageError{Err: err}
	}
	return f.Close()
}

// writeTo writes a result to a file, as checkOutput names it.
func writeTo(file string, write func(io.Writer) error) error {
	switch file {
	case "":
		return nil
	case "-":
		return write(os.Stdout)
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return errors.Join(write(f), f.Close())
}

// everySeconds passes on a call every so many seconds; not the first ones.
func everySeconds(n int, show func(what string, done float64)) func(string, float64) {
	last := time.Now()
	return func(what string, done float64) {
		if time.Since(last) >= time.Duration(n)*time.Second {
			last = time.Now()
			show(what, done)
		}
	}
}
