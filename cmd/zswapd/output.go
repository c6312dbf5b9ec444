package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
			if f.file != "" && f.file != "-" && filepath.Clean(f.file) == filepath.Clean(other.file) {
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
			w, err := os.Create(f.file)
			if err != nil {
				return fmt.Errorf("%s: %w", flag, err)
			}
			return errors.Join(write(w), w.Close())
		}
	}
	return nil
}

// checkWritable finds out now whether the file of a flag can be written, not after all the work is done. It leaves no new file: there may
// be nothing to write in the end.
func checkWritable(flag, file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		return errors.Join(f.Close(), os.Remove(file))
	}
	if errors.Is(err, os.ErrExist) {
		f, err = os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644) // what is in it stays for now; a link may lead nowhere yet
	}
	if err != nil {
		return run.UsageError{Err: fmt.Errorf("%s: %w", flag, err)}
	}
	return f.Close()
}
