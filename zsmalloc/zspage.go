package zsmalloc

import (
	"sync/atomic"

	"github.com/zswapd/zswapd/internal/arena"
)

// zspage describes one run of frames, in use or free. It is guarded by its class's lock while in use and by its
// lane's while free. It lives in private memory outside the Go heap, so it holds no Go pointers.
type zspage struct {
	prev, next uint32 // neighbours in the fullness list, or next in a free list; runs of the lane, 0 for none
	free       uint16 // first object of the free list, noObject for none
	fresh      uint16 // the first object that was never allocated; the rest of the zspage comes after it
	inuse      uint16 // objects allocated
	class      uint8
	group      uint8         // fullness group, while in use
	used       bool          // in use by a class
	committed  atomic.Uint32 // frames at the front of the run that are committed; read without a lock by Pin

	// During recovery:
	mark  uint32 // where in Recovery.places its objects are, in words
	there uint16 // bitmap of the run's frames that are resident
	_     [2]byte
}

const (
	zspageSize = 32
	noObject   = 1<<16 - 1
)

// use makes a free run a zspage of a class, without objects.
func (z *zspage) use(class uint8) {
	z.free, z.fresh, z.inuse, z.class, z.used = noObject, 0, 0, class, true
}

// header precedes each object: the handle that names it, 0 for a free object, and 32 bits that are the owner's
// and move with it. In a free object the tag is the next free one. It is guarded by the class lock; handle and
// tag of an allocated object do not change, so the pin's owner may read them too.
type header struct {
	handle Handle
	tag    uint32
}

// zspageAt returns the descriptor of a run of a lane.
func (p *Pool) zspageAt(lane uint8, run uint32) *zspage {
	return arena.At[zspage](p.private, p.lanes[lane].descriptors+int64(run)*zspageSize)
}

// frames returns where the frames of a run begin in the arena.
func (p *Pool) frames(lane uint8, run uint32) int64 {
	return p.lanes[lane].base + int64(run)<<lane*frameSize
}

// object returns where object i of a run begins in the arena, header included.
func (p *Pool) object(c *class, run uint32, i int) int64 {
	return p.frames(c.lane, run) + int64(i*c.size)
}

// header returns the header of object i of a run.
func (p *Pool) header(c *class, run uint32, i int) *header {
	if c.huge {
		return arena.At[header](p.a, p.hugeHeaders+int64(run)*headerSize)
	}
	return arena.At[header](p.a, p.object(c, run, i))
}

// payload returns the bytes of object i of a run.
func (p *Pool) payload(c *class, run uint32, i int) []byte {
	off := p.object(c, run, i)
	if c.huge {
		return p.a.Bytes(off, int64(c.size))
	}
	return p.a.Bytes(off+headerSize, int64(c.size-headerSize))
}

// Fullness groups as in the kernel since 6.4: empty, up to 10 %, … up to 99 %, full.
const (
	fullnessGroups = 12
	groupFull      = fullnessGroups - 1
)

func fullness(inuse, objs int) uint8 {
	switch inuse {
	case 0:
		return 0
	case objs:
		return groupFull
	}
	return uint8(100*inuse/objs/10 + 1)
}

// linkLocked puts a zspage at the head of its fullness list.
// Preconditions for these three: c.mu is held.
func (p *Pool) linkLocked(c *class, run uint32, z *zspage) {
	z.group = fullness(int(z.inuse), c.objsPerZspage)
	head := &c.mu.groups[z.group]
	z.prev, z.next = 0, *head
	if z.next != 0 {
		p.zspageAt(c.lane, z.next).prev = run
	}
	*head = run
	c.mu.counts[z.group]++
}

func (p *Pool) unlinkLocked(c *class, z *zspage) {
	if z.prev != 0 {
		p.zspageAt(c.lane, z.prev).next = z.next
	} else {
		c.mu.groups[z.group] = z.next
	}
	if z.next != 0 {
		p.zspageAt(c.lane, z.next).prev = z.prev
	}
	c.mu.counts[z.group]--
}

// regroupLocked moves a zspage whose inuse has changed to the list where it belongs now.
func (p *Pool) regroupLocked(c *class, run uint32, z *zspage) {
	if fullness(int(z.inuse), c.objsPerZspage) != z.group {
		p.unlinkLocked(c, z)
		p.linkLocked(c, run, z)
	}
}

// poison overwrites the bytes of a freed object, so that a use after free shows.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}
