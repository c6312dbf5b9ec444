package capture

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	still        []span // pages that may be looked at now; see lookAgain
	again        bool   // lookAgain was called
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
	mappings, err := p.mappings()
	if err != nil {
		p.close()
		return nil, nil, err
	}
	return p, mappings, nil
}

func (p *Process) mappings() ([]mapping, error) {
	smaps, err := os.Open(filepath.Join(procRoot, strconv.Itoa(p.PID), "smaps"))
	if err != nil {
		return nil, err
	}
	defer smaps.Close()
	return parseMappings(smaps)
}

// lookAgain finds out, just before the first page is read, what may be looked at by now: where there were eligible pages the process may
// have put what it locks or does not want to be dumped since. Once it has ended there is nothing. If the number is another program's
// by now, so is what we find; but then there is nothing to be read.
func (p *Process) lookAgain(all bool) {
	p.still, p.again = p.still[:0], true
	mappings, err := p.mappings()
	if err != nil {
		return
	}
	for m, reason := range leftOut(p.PID, mappings, all) {
		if reason == "" {
			p.still = append(p.still, span{m.start / PageSize, (m.end - m.start) / PageSize})
		}
	}
}

// may reports whether a page may be looked at still.
func (p *Process) may(page uint64) bool {
	i, found := slices.BinarySearchFunc(p.still, page, func(s span, page uint64) int { return cmp.Compare(s.first, page) })
	return found || i > 0 && page-p.still[i-1].first < p.still[i-1].n
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

// walk visits the words of one mapping's pages, or of some of them if the context ends; those of nothing may be left out.
func (p *Process) walk(ctx context.Context, m *mapping, buf []byte, visit func(page uint64, e entry)) {
	regions := make([]pageRegion, 64)
	for at := m.start; at < m.end && ctx.Err() == nil; {
		n, next, err := 0, at, error(nil)
		if m.end-at > wideBytes { // most of it is nothing, maybe terabytes
			n, next, err = populated(p.pagemap, at, m.end, regions)
		}
		if err != nil || next == at {
			p.words(ctx, at/PageSize, m.end/PageSize, buf, visit)
			return
		}
		for _, r := range regions[:n] {
			p.words(ctx, r.start/PageSize, r.end/PageSize, buf, visit)
		}
		at = next
	}
}

// wideBytes are those of a mapping whose nothing costs more than to ask where there is something.
const wideBytes = 64 << 20

// words visits all words from one page to another.
func (p *Process) words(ctx context.Context, first, end uint64, buf []byte, visit func(page uint64, e entry)) {
	for first < end && ctx.Err() == nil {
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
		if !entryAt(got, i).anonymous() || !p.may(first+uint64(i)) {
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
