package zpool

// sweep goes through the slot table again and again, a piece at a time. It keeps ages from coming round, counts pages by
// age, and shows the packer the windows where pages have become idle.
type sweep struct {
	p      *Pool
	next   uint64 // slot
	began  uint64 // generation in which it was at slot 0
	ended  uint64 // began of the last that came to the end
	ages   Ages   // of the pages seen so far
	before Ages   // of all pages, when it came to the end last
	off    bool   // only what is left of clusters is shown to the packer
	seen   bool   // a page in a cluster was, since it was at slot 0
	// clusters says whether there was one when it came to the end last, or none has been looked for.
	clusters bool
	retry    int // so many more times, until it comes to the end, pages are shown that are settled
}

// Ages counts pages that take memory by how many generations ago they were last used; the last number is of all that
// are older.
type Ages [veryOld + 1]uint64

// run looks at slots until it has seen budget of them or comes to the end of the table. Windows with pages of age idle and
// more, which are not packed, are given to pack, if there is one, until it returns false.
func (s *sweep) run(budget uint64, idle uint8, pack func(window uint64) (more bool)) (end bool) {
	if s.next == 0 {
		s.began = s.p.clock.now.Load()
		s.ages = Ages{}
	}
	g := s.p.clock.generation()
	for left := int64(budget); left > 0; {
		if s.next >= s.p.super.slots {
			s.next, s.ended, s.before, s.retry = 0, s.began, s.ages, max(s.retry-1, 0)
			s.clusters, s.seen = s.seen, false
			return true
		}
		if !s.p.slots.committed(s.next) {
			s.next = s.p.slots.nextFrame(s.next)
			left -= windowSlots
			continue
		}
		window := s.next
		s.next += windowSlots
		left -= windowSlots
		if s.window(window, g, idle) && pack != nil && !pack(window) {
			break
		}
	}
	return false
}

// window looks at one window and reports whether there may be something to pack.
func (s *sweep) window(window uint64, g, idle uint8) (pack bool) {
	var seen [windowSlots]clusterSeen // clusters of the window
	clusters, skip := seen[:0], s.skip()
	words := s.p.slots.window(window)
	for i := range words {
		w := word(words[i].Load())
		if w == 0 {
			continue
		}
		age, kind := g-w.age(), w.kind()
		if age > veryOld {
			if kind != kindLost && w&lockBit == 0 {
				words[i].CompareAndSwap(uint64(w), uint64(w.at(g-veryOld)))
			}
			age = veryOld
		}
		switch kind {
		case kindObject:
			s.ages[age]++
			pack = pack || age >= idle && w&skip == 0 && w.codec() != idPattern && !s.off
		case kindMember:
			s.ages[age]++
			s.seen = true
			clusters = count(clusters, w, age >= idle)
		}
	}
	for _, c := range clusters {
		pack = pack || c.idle && mostlyDead(c.members, c.word)
	}
	return pack
}

// skip are the hints of pages that are not worth packing.
func (s *sweep) skip() word {
	if s.retry > 0 {
		return denseBit
	}
	return denseBit | settledBit
}

// clusterSeen is a cluster of which so many members were seen, the first with this word.
type clusterSeen struct {
	word    word
	members int
	idle    bool // one of them is
}

// count counts a member of a cluster. Members are mostly neighbours.
func count(clusters []clusterSeen, w word, idle bool) []clusterSeen {
	for i := len(clusters) - 1; i >= 0; i-- {
		if c := &clusters[i]; c.word.handle() == w.handle() {
			c.members++
			c.idle = c.idle || idle
			return clusters
		}
	}
	return append(clusters, clusterSeen{w, 1, idle})
}

// mostlyDead reports whether at most half of the pages that a cluster was made of are still in it.
func mostlyDead(members int, w word) bool { return members <= 1<<w.log2()/2 }

// lag returns how many generations ago the oldest slot was looked at.
func (s *sweep) lag() uint64 { return s.p.clock.now.Load() - s.ended }
