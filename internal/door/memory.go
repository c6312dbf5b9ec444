package door

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// memory tells how short the machine is of it. Its files are held open: when it matters there may be no memory to open one.
type memory struct {
	pressure *os.File // /proc/pressure/memory (Linux 4.20); nil: not to be had, and nobody ever waits
	info     *os.File // /proc/meminfo; nil: never short
	buf      []byte
	last     uint64 // µs
	at       time.Time
}

func (m *memory) open() {
	m.buf = make([]byte, 4096)
	m.pressure, _ = os.Open("/proc/pressure/memory")
	m.info, _ = os.Open("/proc/meminfo")
	m.stalled()
}

// read returns a file's text, which the next read overwrites.
func (m *memory) read(f *os.File) []byte {
	if f == nil {
		return nil
	}
	n, _ := unix.Pread(int(f.Fd()), m.buf, 0)
	return m.buf[:max(n, 0)]
}

// stalled returns the share of the time since the last call in which some program waited for memory.
func (m *memory) stalled() float64 {
	total, ok := number(m.read(m.pressure), "some ", "total=")
	if !ok {
		return 0
	}
	now, share := time.Now(), 0.0
	if waited := now.Sub(m.at).Microseconds(); !m.at.IsZero() && waited > 0 {
		share = float64(total-m.last) / float64(waited)
	}
	m.last, m.at = total, now
	return share
}

// short reports whether next to no memory is available: a program that waits for memory under the limit of its cgroup does not
// count.
func (m *memory) short() bool {
	text := m.read(m.info)
	total, ok1 := number(text, "MemTotal:")
	available, ok2 := number(text, "MemAvailable:")
	return ok1 && ok2 && available < total/shortShare
}

func (m *memory) close() (err error) {
	for _, f := range []*os.File{m.pressure, m.info} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// number returns the number that comes first behind marks, each looked for behind the one before.
func number(text []byte, marks ...string) (n uint64, ok bool) {
	for _, mark := range marks {
		if _, text, ok = bytes.Cut(text, []byte(mark)); !ok {
			return 0, false
		}
	}
	text = bytes.TrimLeft(text, " ")
	digits := text[:len(text)-len(bytes.TrimLeft(text, "0123456789"))]
	n, err := strconv.ParseUint(string(digits), 10, 64)
	return n, err == nil
}
