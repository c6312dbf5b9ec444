package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// PageSize is the size of a page, in bytes.
const PageSize = 4096

var (
	// ErrNotRoot is returned by Allowed.
	ErrNotRoot = errors.New("looking at the memory of other programs needs root: put sudo before the command")
	// ErrNothing is returned for a sample without a page: the processes have no memory of that sort, or have ended.
	ErrNothing = errors.New("no resident anonymous memory that may be looked at")
)

// Allowed says whether we may look at all.
func Allowed() error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	return nil
}

// Population is the memory that a sample is taken from, as it was found. Sizes are in pages.
type Population struct {
	Processes  []*Process       // with eligible memory or without, in order of their numbers
	Pages      int64            // eligible
	LeftOut    map[Reason]int64 // what processes share once, here too
	Referenced int64            // of the eligible ones, at most: touched since the kernel last looked
	Swapped    int64            // out already, of the mappings that are eligible; what processes share once
	Gone       int              // processes that ended before they were looked at
	Denied     int              // processes that we may not look at: another user namespace, a security module

	all bool // Options.All
}

// Options say how to look.
type Options struct {
	All      bool                      // stacks, locked memory and what is not to be dumped, too
	Progress func(done, processes int) // may be nil
}

// Scan finds the eligible pages of processes, in the order given. Close the result. The error is that of the context, or
// of a machine that does not show memory.
func Scan(ctx context.Context, pids []int, o Options) (*Population, error) {
	pop := &Population{LeftOut: map[Reason]int64{}, all: o.All}
	s := &scanning{pop: pop, shared: newShared(), twins: twins{}, buf: make([]byte, 64<<10*entryBytes), all: o.All}
	defer s.shared.close()
	var denied error
	for i, pid := range pids {
		if o.Progress != nil {
			o.Progress(i, len(pids))
		}
		p, mappings, err := open(pid)
		switch {
		case gone(err):
			pop.Gone++
			continue
		case errors.Is(err, fs.ErrPermission):
			pop.Denied++
			denied = err
			continue
		case err != nil:
			pop.Close()
			return nil, err
		}
		pop.Processes = append(pop.Processes, p)
		if err := s.process(ctx, p, mappings); err != nil {
			pop.Close()
			return nil, err
		}
	}
	if pop.Denied > 0 && pop.Denied+pop.Gone == len(pids) {
		return nil, fmt.Errorf("%w: not even root may look at it; run outside of the container, with CAP_SYS_PTRACE", denied)
	}
	pop.Referenced = s.referenced()
	return pop, nil
}

// Close closes the processes' files.
func (pop *Population) Close() {
	for _, p := range pop.Processes {
		p.close()
	}
}

// scanning is a Scan under way.
type scanning struct {
	pop    *Population
	shared *shared
	twins  twins
	buf    []byte
	all    bool

	// What smaps says that was touched, at most: pages that are counted there, and others. It tells of the mapping, and not
	// which pages, and a page that several have may be untouched where it is counted.
	touched, touchedElsewhere int64
}

func (s *scanning) process(ctx context.Context, p *Process, mappings []mapping) error {
	if !s.twins.first(p.PID, mappings) {
		return context.Cause(ctx)
	}
	for m, reason := range leftOut(p.PID, mappings, s.all) {
		if m.anonymous > 0 || m.swapped > 0 { // the others may have terabytes of addresses
			s.mapping(ctx, p, m, reason)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	s.pop.Pages += p.Eligible
	return nil
}

// mapping counts the pages of a mapping. What others have as well is counted where it comes first.
func (s *scanning) mapping(ctx context.Context, p *Process, m *mapping, reason Reason) {
	var here [zero + 1]int64
	out := int64(0)
	p.walk(ctx, m, s.buf, func(page uint64, e entry) {
		switch {
		case e.anonymous():
			what := s.shared.look(e)
			here[what]++
			if what == fresh && reason == "" {
				p.add(page)
			}
		case e.swapped() && s.shared.firstOut(e):
			out++
		}
	})
	if reason != "" {
		if here[fresh] > 0 {
			s.pop.LeftOut[reason] += here[fresh]
		}
		return
	}
	s.pop.Swapped += min(out, m.swapped) // the kernel also has marks that look like swapped pages
	s.touched += min(m.referenced, here[fresh])
	s.touchedElsewhere += min(m.referenced, here[old])
}

// referenced returns how many of the eligible pages were touched, at most.
func (s *scanning) referenced() int64 {
	return min(s.touched+min(s.touchedElsewhere, s.shared.repeated), s.pop.Pages)
}
