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
	Processes  []*Process // with eligible memory or without, in order of their numbers
	Pages      int64      // eligible
	LeftOut    map[Reason]int64
	Referenced int64 // of the eligible ones, at most: touched since the kernel last looked
	Swapped    int64 // out already, of the mappings that are eligible
	Gone       int   // processes that ended before they were looked at
	Denied     int   // processes that we may not look at: another user namespace, a security module
}

// Options say how to look.
type Options struct {
	All      bool                      // stacks, locked memory and what is not to be dumped, too
	Progress func(done, processes int) // may be nil
}

// Scan finds the eligible pages of processes, in the order given. Close the result. The error is that of the context, or
// of a machine that does not show memory.
func Scan(ctx context.Context, pids []int, o Options) (*Population, error) {
	pop := &Population{LeftOut: map[Reason]int64{}}
	s := newShared()
	defer s.close()
	buf := make([]byte, 64<<10*entryBytes)
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
		if err := pop.scan(ctx, p, mappings, s, buf, o.All); err != nil {
			pop.Close()
			return nil, err
		}
	}
	if pop.Denied > 0 && pop.Denied+pop.Gone == len(pids) {
		return nil, fmt.Errorf("%w: not even root may look at it; run outside of the container, with CAP_SYS_PTRACE", denied)
	}
	return pop, nil
}

// Close closes the processes' files.
func (pop *Population) Close() {
	for _, p := range pop.Processes {
		p.close()
	}
}

func (pop *Population) scan(ctx context.Context, p *Process, mappings []mapping, s *shared, buf []byte, all bool) error {
	pointers := stackPointers(p.PID)
	var below *mapping
	for i := range mappings {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		m := &mappings[i]
		reason := m.leftOut(isStack(m, below, pointers), all)
		below = m
		if reason != "" {
			if m.anonymous > 0 {
				pop.LeftOut[reason] += m.anonymous
			}
			continue
		}
		pop.Swapped += m.swapped
		if m.anonymous > 0 { // the others may have terabytes of addresses
			before := p.Eligible
			p.scan(ctx, m, s, buf)
			pop.Referenced += min(m.referenced, p.Eligible-before)
		}
	}
	pop.Pages += p.Eligible
	return context.Cause(ctx)
}
