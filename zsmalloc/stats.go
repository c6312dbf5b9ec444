package zsmalloc

// ClassStats are the numbers of one class, as the kernel shows them in its debugfs file "classes".
type ClassStats struct {
	Class          int                 // number in this pool
	Size           int                 // bytes per object, header included
	Groups         [fullnessGroups]int // zspages in each fullness group: 10 %, 20 %, … 99 %, full are 1..11
	ObjAllocated   int                 // room for objects
	ObjUsed        int                 // objects allocated to somebody
	PagesUsed      int                 // frames committed
	PagesPerZspage int
	Freeable       int // frames that compaction could free
}

// Stats are the numbers of a pool; each class is consistent in itself.
type Stats struct {
	Classes         []ClassStats // those that hold zspages
	Objects         int          // live
	Frames          int          // committed for objects, ready ones not among them
	ReadyFrames     int64        // committed and free
	Freeable        int          // frames that compaction could free
	FramesCompacted uint64       // frames freed by compaction (pages_compacted)
	ObjectsMigrated uint64       // objects moved by compaction
}

// Stats returns the numbers of the pool.
func (p *Pool) Stats() (s Stats) {
	for _, c := range p.classes {
		c.mu.Lock()
		cs := ClassStats{
			Class: int(c.index), Size: c.size, Groups: c.mu.counts,
			ObjAllocated: c.mu.zspages * c.objsPerZspage, ObjUsed: c.mu.objects,
			PagesUsed: c.mu.frames, PagesPerZspage: c.framesPer, Freeable: c.freeableFramesLocked(),
		}
		c.mu.Unlock()
		if cs.ObjAllocated == 0 {
			continue
		}
		s.Classes = append(s.Classes, cs)
		s.Objects += cs.ObjUsed
		s.Frames += cs.PagesUsed
		s.Freeable += cs.Freeable
	}
	s.ReadyFrames = p.readyFrames.Load()
	s.FramesCompacted = p.framesCompacted.Load()
	s.ObjectsMigrated = p.objectsMigrated.Load()
	return s
}

// Moved returns the two counters of compaction; it takes no lock.
func (p *Pool) Moved() (framesCompacted, objectsMigrated uint64) {
	return p.framesCompacted.Load(), p.objectsMigrated.Load()
}

// PrivateBytes returns the resident bytes of what the pool keeps outside its region of the arena.
func (p *Pool) PrivateBytes() (n int64, err error) {
	err = p.private.Resident(0, p.private.Size(), func(_, bytes int64) { n += bytes })
	return n, err
}
