package zsmalloc

import (
	"errors"
	"fmt"

	"github.com/zswapd/zswapd/internal/arena"
)

// Check walks everything and returns every disagreement it finds: each allocated object's handle points back at
// it and is not pinned; each zspage is in the one list where it belongs, and its counts and free list are right;
// each run is in use or free, never both; each handle is live or free; and the frames that are resident, those of
// tables included, are the ones that are accounted for. No other call may be in progress.
func (p *Pool) Check() error {
	damaged, err := p.CheckDamaged()
	for _, h := range damaged {
		err = errors.Join(err, fmt.Errorf("zsmalloc: check: the header of handle %d's object is damaged", h))
	}
	return err
}

// CheckDamaged is Check for a pool whose store was damaged: it returns the handles whose objects' headers do not name them,
// which is what Pin says of them, and every other disagreement.
func (p *Pool) CheckDamaged() (damaged []Handle, err error) {
	k := &checker{p: p, live: map[Handle]bool{}, nameless: map[location]bool{}}
	for _, c := range p.classes {
		k.class(c)
	}
	for l := range uint8(lanes) {
		k.lane(l)
	}
	k.handles()
	k.frames()
	k.tables()
	if len(k.problems) > 0 {
		err = fmt.Errorf("zsmalloc: check: %w", errors.Join(k.problems...))
	}
	return k.damaged, err
}

const maxProblems = 20

type checker struct {
	p         *Pool
	live      map[Handle]bool
	nameless  map[location]bool // of allocated objects whose headers name no handle that points back
	damaged   []Handle          // whose those are
	committed int64             // frames of runs, as the descriptors have it
	ready     int64             // those of free runs
	problems  []error
}

func (k *checker) errorf(format string, args ...any) {
	if len(k.problems) < maxProblems {
		k.problems = append(k.problems, fmt.Errorf(format, args...))
	}
}

func (k *checker) class(c *class) {
	zspages, objects, frames := 0, 0, 0
	for g, run := range c.mu.groups {
		count, prev := 0, uint32(0)
		for ; run != 0; count++ {
			z := k.p.zspageAt(c.lane, run)
			if !z.used || z.class != c.index || int(z.group) != g || z.prev != prev || fullness(int(z.inuse), c.objsPerZspage) != z.group || z.inuse == 0 {
				k.errorf("class %d: run %d in list %d: used=%t class=%d group=%d inuse=%d prev=%d", c.index, run, g, z.used, z.class, z.group, z.inuse, z.prev)
				return
			}
			k.zspage(c, run, z)
			objects += int(z.inuse)
			frames += int(z.committed.Load())
			prev, run = run, z.next
		}
		if count != c.mu.counts[g] {
			k.errorf("class %d: list %d has %d zspages, the count says %d", c.index, g, count, c.mu.counts[g])
		}
		zspages += count
	}
	if zspages != c.mu.zspages || objects != c.mu.objects || frames != c.mu.frames {
		k.errorf("class %d: %d zspages, %d objects, %d frames; the counts say %d, %d, %d",
			c.index, zspages, objects, frames, c.mu.zspages, c.mu.objects, c.mu.frames)
	}
}

func (k *checker) zspage(c *class, run uint32, z *zspage) {
	p := k.p
	// More frames than the class uses are there if the system would not take back those that another class left.
	if n := int(z.committed.Load()); int(z.fresh)*c.size > n*frameSize || n > 1<<c.lane {
		k.errorf("class %d run %d: %d objects touched in %d frames", c.index, run, z.fresh, n)
		return
	}
	var free objectSet
	if !p.freeLocked(c, run, z, &free) {
		k.errorf("class %d run %d: the free list from object %d on is damaged, or not of %d - %d objects", c.index, run, z.free, z.fresh, z.inuse)
		return
	}
	for i := range int(z.fresh) {
		h, l := p.header(c, run, i).handle, makeLocation(c.index, run, i)
		switch {
		case free.has(i):
			if h != 0 {
				k.errorf("class %d run %d object %d: it is free, and of handle %d", c.index, run, i, h)
			}
		case !k.live[h] && p.handles.known(h) && p.handles.word(h).Load() == l.unpinned():
			k.live[h] = true
		default:
			k.nameless[l] = true
		}
	}
}

// lane checks that each run that was ever used is in use or in one free list.
func (k *checker) lane(l uint8) {
	p := k.p
	ln := &p.lanes[l]
	state := map[uint32]string{}
	for name, run := range map[string]uint32{"ready": ln.mu.ready, "short": ln.mu.short, "holes": ln.mu.holes} {
		for run != 0 {
			z := p.zspageAt(l, run)
			if z.used || state[run] != "" || (z.committed.Load() > 0) == (name == "holes") {
				k.errorf("lane %d: run %d is in list %s: used=%t, also %q, %d frames", l, run, name, z.used, state[run], z.committed.Load())
				return
			}
			state[run] = name
			k.ready += int64(z.committed.Load())
			run = z.next
		}
	}
	for run := uint32(1); run < ln.fresh.Load(); run++ {
		z := p.zspageAt(l, run)
		if z.used == (state[run] != "") {
			k.errorf("lane %d: run %d: used=%t, list %q", l, run, z.used, state[run])
		}
		k.committed += int64(z.committed.Load())
		n := int64(z.committed.Load()) * frameSize
		var there int64
		if err := p.a.Resident(p.frames(l, run), frameSize<<l, func(_, n int64) { there += n }); err != nil || there != n {
			k.errorf("lane %d: run %d: %d bytes resident, %d accounted for (%v)", l, run, there, n, err)
		}
	}
	if n := p.readyFrames.Load(); l == lanes-1 && k.ready != n {
		k.errorf("%d ready frames, the count says %d", k.ready, n)
	}
}

func (k *checker) handles() {
	t := &k.p.handles
	free := map[Handle]bool{}
	for h := t.mu.free; h != 0; h = Handle(t.word(h).Load() >> 1) {
		if !t.known(h) || free[h] || k.live[h] || t.word(h).Load()&(liveBit|pinBit) != 0 {
			k.errorf("handle %d is in the free list: twice=%t live=%t word=%#x", h, free[h], k.live[h], t.word(h).Load())
			return
		}
		free[h] = true
	}
	for h := Handle(1); t.known(h); h++ {
		if free[h] || k.live[h] {
			continue
		}
		w := t.word(h).Load()
		if l := locationOf(w); !k.nameless[l] || w != l.unpinned() {
			k.errorf("handle %d is neither free nor an object's: %#x", h, w)
			continue
		}
		delete(k.nameless, locationOf(w))
		k.damaged = append(k.damaged, h)
	}
	for l := range k.nameless {
		c := k.p.classes[l.class()]
		k.errorf("class %d run %d object %d: it is no handle's, and says handle %d", l.class(), l.run(), l.index(), k.p.header(c, l.run(), l.index()).handle)
	}
	if live := len(k.live) + len(k.damaged); live != t.mu.inUse {
		k.errorf("handles: %d live; the count says %d in use", live, t.mu.inUse)
	}
}

// tables checks that the tables are resident as far as they are used, and no further.
func (k *checker) tables() {
	p := k.p
	resident := func(what string, a *arena.Arena, base, end, used int64) {
		var there int64
		want := (used + frameSize - 1) / frameSize * frameSize
		if err := a.Resident(base, end-base, func(_, n int64) { there += n }); err != nil || there != want {
			k.errorf("%s: %d bytes resident, %d in use (%v)", what, there, want, err)
		}
	}
	// used returns the bytes of a table of which entry 0 is nobody's and is there as soon as entry 1 is.
	used := func(fresh uint32, size int64) int64 {
		if fresh == 1 {
			return 0
		}
		return int64(fresh) * size
	}
	resident("handles", p.a, p.handles.base, p.hugeHeaders, int64(max(p.handles.fresh.Load(), p.handles.ahead.Load()))*8)
	resident("huge headers", p.a, p.hugeHeaders, p.lanes[0].base, used(p.lanes[0].fresh.Load(), headerSize))
	for l := range p.lanes {
		end := p.private.Size()
		if l+1 < lanes {
			end = p.lanes[l+1].descriptors
		}
		resident(fmt.Sprintf("descriptors of lane %d", l), p.private, p.lanes[l].descriptors, end, int64(p.lanes[l].described)*zspageSize)
		if p.lanes[l].described != 0 && p.lanes[l].described < p.lanes[l].fresh.Load() {
			k.errorf("lane %d: %d descriptors for %d runs", l, p.lanes[l].described, p.lanes[l].fresh.Load())
		}
	}
}

// frames checks that nothing is resident in the lanes beyond the runs that were ever used.
func (k *checker) frames() {
	p, there := k.p, int64(0)
	last := &p.lanes[lanes-1]
	begin, end := p.lanes[0].base, last.base+int64(last.runs)<<(lanes-1)*frameSize
	if err := p.a.Resident(begin, end-begin, func(_, n int64) { there += n }); err != nil || there != k.committed*frameSize {
		k.errorf("%d bytes resident in the lanes, %d accounted for (%v)", there, k.committed*frameSize, err)
	}
}
