// Package psi reads how short of memory the system is: the kernel's pressure stall information.
//
//	/proc/pressure/memory: some avg10=24.73 avg60=12.81 avg300=3.86 total=12980925
//
// some: the time that at least one task waited for memory. total: in microseconds, and up to date at each read. So the
// difference of two reads is the pressure between them, at whatever pace one looks; the averages lag by up to two seconds,
// and a trigger would tell no more to somebody who looks four times a second.
package psi

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// Path is where the kernel tells it, if it was built with CONFIG_PSI and not told psi=0.
const Path = "/proc/pressure/memory"

// Memory measures the pressure on memory. Its methods may be called concurrently.
type Memory struct {
	mu    sync.Mutex
	f     *os.File
	buf   [256]byte
	at    time.Time // of the last measurement
	total time.Duration
	last  float64
}

// between two reads of the file passes at least so much; in between the last result is good enough.
const between = 100 * time.Millisecond

// Open begins to measure. path is Path, or that of a cgroup's memory.pressure.
func Open(path string) (*Memory, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("memory pressure: %w", err)
	}
	m := &Memory{f: f}
	if m.total, err = m.read(); err != nil {
		return nil, fmt.Errorf("memory pressure: %w", errors.Join(err, f.Close()))
	}
	m.at = time.Now()
	return m, nil
}

// Pressure returns the share of the time, in percent, that somebody waited for memory since it was last measured, which is
// at least 100 ms ago. If the file cannot be read any more, it is 0. It allocates nothing.
func (m *Memory) Pressure() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	passed := now.Sub(m.at)
	if passed < between {
		return m.last
	}
	total, err := m.read()
	if err != nil {
		m.at, m.last = now, 0
		return 0
	}
	m.last = min(100*float64(max(total-m.total, 0))/float64(passed), 100)
	m.at, m.total = now, total
	return m.last
}

// Close gives the file back. No other call may be in progress or follow.
func (m *Memory) Close() error { return m.f.Close() }

// read returns the time that somebody waited since the system was started.
func (m *Memory) read() (time.Duration, error) {
	n, err := m.f.ReadAt(m.buf[:], 0)
	if n == 0 {
		return 0, err
	}
	return parse(m.buf[:n])
}

// parse finds the total of the line "some".
func parse(text []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	_, number, ok := bytes.Cut(line, []byte(" total="))
	if !ok || !bytes.HasPrefix(line, []byte("some ")) {
		return 0, fmt.Errorf("%q is not what the kernel writes", line)
	}
	us, err := strconv.ParseUint(string(number), 10, 53)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", line, err)
	}
	return time.Duration(us) * time.Microsecond, nil
}
