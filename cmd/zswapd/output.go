package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/zswapd/zswapd/internal/run"
)

// output is a flag and the file that it names: "" for none, - for the standard output.
type output struct{ flag, file string }

// outputs are the files of a measurement.
type outputs struct {
	all  []output
	text io.Writer // for people: the standard output, or standard error if that is taken
}

// newOutputs finds out now whether they can be written, not after everything was measured.
func newOutputs(all ...output) (*outputs, error) {
	o := &outputs{all: all, text: os.Stdout}
	for i, f := range all {
		switch {
		case f.file == "-" && o.text != os.Stdout:
			return nil, run.UsageError{Err: fmt.Errorf("%s -: the standard output is taken", f.flag)}
		case f.file == "-":
			o.text = os.Stderr
		case f.file != "":
			if err := checkWritable(f.flag, f.file); err != nil {
				return nil, err
			}
		}
		for _, other := range all[:i] {
			if f.file != "" && f.file != "-" && sameFile(f.file, other.file) {
				return nil, run.UsageError{Err: fmt.Errorf("%s %s: that is where %s goes", f.flag, f.file, other.flag)}
			}
		}
	}
	return o, nil
}

// write lets write write to the file of a flag, if it was given.
func (o *outputs) write(flag string, write func(io.Writer) error) error {
	for _, f := range o.all {
		switch {
		case f.flag != flag || f.file == "":
		case f.file == "-":
			return write(os.Stdout)
		default:
			w, err := os.OpenFile(f.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666) // not to read: a pipe without a reader must be waited for
			if err != nil {
				return fmt.Errorf("%s: %w", flag, err)
			}
			return errors.Join(write(w), w.Close())
		}
	}
	return nil
}

// sameFile reports whether what is written to both would be in one file, which need not be there yet.
func sameFile(a, b string) bool {
	if b == "" || b == "-" {
		return false
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return infoA.Mode().IsRegular() && os.SameFile(infoA, infoB)
	}
	return whole(a) == whole(b)
}

// whole returns a file's path without links, as far as it is there.
func whole(file string) string {
	if path, err := filepath.EvalSymlinks(file); err == nil {
		file = path
	} else if dir, err := filepath.EvalSymlinks(filepath.Dir(file)); err == nil {
		file = filepath.Join(dir, filepath.Base(file))
	}
	if path, err := filepath.Abs(file); err == nil {
		return path
	}
	return file
}

// checkWritable finds out now whether the file of a flag can be written, not after all the work is done. It leaves no new file: there may
// be nothing to write in the end.
func checkWritable(flag, file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		return errors.Join(f.Close(), os.Remove(file))
	}
	if errors.Is(err, os.ErrExist) {
		err = checkReplaceable(file)
	}
	if err != nil {
		return run.UsageError{Err: fmt.Errorf("%s: %w", flag, err)}
	}
	return nil
}

// checkReplaceable does so with a file that is there. What is in it stays for now.
func checkReplaceable(file string) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() && !info.IsDir() { // who reads a pipe would take that for its end
		if err := unix.Access(file, unix.W_OK); err != nil {
			return &os.PathError{Op: "write", Path: file, Err: err}
		}
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644) // a link may lead nowhere yet
	if err != nil {
		return err
	}
	return f.Close()
}
