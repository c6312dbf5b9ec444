package swapdev

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// noSwap is the vm.swappiness at which the kernel leaves programs' pages where they are as long as there are any of files.
const noSwap = "0"

// Swappiness is vm.swappiness, held open: when it is to be changed there may be no memory to open a file with. Its methods are
// for one goroutine.
type Swappiness struct {
	run    *Run
	file   *os.File
	before string // while it is ours; else ""
	buf    []byte
}

// Swappiness opens it, and records that it may be changed: for a Clean after a kill. Note keeps the record right.
func (r *Run) Swappiness() (*Swappiness, error) { return r.openSwappiness(kernel) }

func (r *Run) openSwappiness(h host) (*Swappiness, error) {
	f, err := os.OpenFile(h.swappiness, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("swapdev: %w", err)
	}
	s := &Swappiness{run: r, file: f, buf: make([]byte, 16)}
	now, err := s.read()
	switch before := r.Record().Swappiness.Before; {
	case err != nil:
	case before == "":
		err = s.record(now)
	case now == noSwap:
		s.before = before // a dead server of this run has left it so
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *Swappiness) record(before string) error {
	return s.run.change(func(c *Record) { c.Swappiness = Sysctl{Before: before, Set: noSwap} })
}

// Note records the value anew if somebody has changed it, as systemd-sysctl does at boot: a Clean or a successor would restore an
// older one. It is for when there is memory: the record is in a tmpfs. Between Off and On it does nothing.
func (s *Swappiness) Note() error {
	if s.before != "" {
		return nil
	}
	now, err := s.read()
	if err != nil || now == s.run.Record().Swappiness.Before {
		return err
	}
	return s.record(now)
}

func (s *Swappiness) read() (string, error) {
	n, err := unix.Pread(int(s.file.Fd()), s.buf, 0)
	value := strings.TrimSpace(string(s.buf[:max(n, 0)]))
	if _, e := strconv.Atoi(value); err == nil && e != nil {
		err = fmt.Errorf("it reads %q", value)
	}
	if err != nil {
		return "", fmt.Errorf("swapdev: %s: %w", s.file.Name(), err)
	}
	return value, nil
}

func (s *Swappiness) write(value string) error {
	if _, err := unix.Pwrite(int(s.file.Fd()), []byte(value), 0); err != nil {
		return fmt.Errorf("swapdev: %s: %w", s.file.Name(), err)
	}
	return nil
}

// Off makes the kernel stop swapping as far as it will. On undoes that, unless somebody has changed it again meanwhile. Both do
// nothing the second time.
func (s *Swappiness) Off() error {
	if s.before != "" {
		return nil
	}
	now, err := s.read()
	if err != nil || now == noSwap {
		return err
	}
	if err := s.write(noSwap); err != nil {
		return err
	}
	s.before = now
	return nil
}

// On is told with Off.
func (s *Swappiness) On() error {
	if s.before == "" {
		return nil
	}
	now, err := s.read()
	if err == nil && now == noSwap {
		err = s.write(s.before)
	}
	if err == nil {
		s.before = ""
	}
	return err
}

// Close closes the file, and changes nothing.
func (s *Swappiness) Close() error { return s.file.Close() }
