package capture

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is what was found in one process. Sizes are in pages.
type Process struct {
	PID      int
	Name     string // of its program, as the kernel has it; any bytes, so quote it
	Eligible int64  // less those that came with an earlier process
	Sampled  int64

	pagemap, mem *os.File
	spans        []span
}

// span is n eligible pages in a row.
type span struct{ first, n uint64 } // in pages

// open opens what shows the process's memory. The files stay with the memory that there is now.
func open(pid int) (*Process, []mapping, error) {
	dir := filepath.Join(procRoot, strconv.Itoa(pid))
	p := &Process{PID: pid}
	name, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return nil, nil, err
	}
	p.Name = strings.TrimSuffix(string(name), "\n")
	if p.mem, err = os.Open(filepath.Join(dir, "mem")); err != nil {
		return nil, nil, err
	}
	if p.pagemap, err = os.Open(filepath.Join(dir, "pagemap")); err != nil {
		p.close()
		return nil, nil, err
	}
	smaps, err := os.Open(filepath.Join(dir, "smaps"))
	if err != nil {
		p.close()
		return nil, nil, err
	}
	defer smaps.Close()
	mappings, err := parseMappings(smaps)
	if err != nil {
		p.close()
		return nil, nil, err
	}
	return p, mappings, nil
}

func (p *Process) close() {
	for _, f := range []*os.File{p.mem, p.pagemap} {
		if f != nil {
			f.Close()
		}
	}
}

// gone reports whether an error says that the process has ended.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }

// walk visits the words of one mapping's pages, or of some of them if the context ends.
func (p *Process) walk(ctx context.Context, m *mapping, buf []byte, visit func(page uint64, e entry)) {
	for first, end := m.start/PageSize, m.end/PageSize; first < end && ctx.Err() == nil; {
		got := entries(p.pagemap, first, buf[:min(uint64(len(buf)), (end-first)*entryBytes)])
		if len(got) == 0 {
			return
		}
		for i := range len(got) / entryBytes {
			visit(first+uint64(i), entryAt(got, i))
		}
		first += uint64(len(got) / entryBytes)
	}
}

func (p *Process) add(page uint64) {
	p.Eligible++
	if n := len(p.spans); n > 0 && p.spans[n-1].first+p.spans[n-1].n == page {
		p.spans[n-1].n++
		return
	}
	p.spans = append(p.spans, span{page, 1})
}

// read appends those of n pages to dst that are still there. Others are left alone: reading would bring them back.
func (p *Process) read(dst []byte, first, n uint64) []byte {
	var words [RunPages * entryBytes]byte
	got := entries(p.pagemap, first, words[:n*entryBytes])
	for i := range len(got) / entryBytes {
		if !entryAt(got, i).anonymous() {
			continue
		}
		at := len(dst)
		dst = dst[:at+PageSize]
		if k, _ := p.mem.ReadAt(dst[at:], int64((first+uint64(i))*PageSize)); k != PageSize {
			dst = dst[:at]
			continue
		}
		p.Sampled++
	}
	return dst
}
