package zpool

import (
	"sync/atomic"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/zsmalloc"
)

// packer recompresses pages that are idle: neighbours together, by a dense codec. It is for one goroutine at a time.
//
// A page is read under its slot's lock, which is then given back: nobody waits for the codec. What was made takes the place
// of what the slot had in one compare-and-swap, only if nobody has touched the slot meanwhile. A kill leaves some members
// with the old word and some with the new one, each with its page; and an object that no slot names, at most.
type packer struct {
	p     *Pool
	w     *Worker // reads pages, and counts
	codec compressor.Codec
	most  int     // pages in a cluster
	off   bool    // nothing is packed; only what is left of clusters, from before that was so, is made objects of pages again
	ratio float64 // of what the dense codec makes to what the fast one has made, of late
	pages []byte  // room for a window
	out   []byte
	list  []candidate
	did   Recompressed
}

// candidate is a page that may be packed.
type candidate struct {
	slot uint64
	word word
	size int // bytes that its object takes of frames and of the handle table, or its part of the cluster that it is in
}

// Recompressed says what steps of recompression did.
type Recompressed struct {
	Pages    uint64 // packed
	Clusters uint64 // made
	Kept     uint64 // pages that the dense codec gains nothing on
	Lost     uint64 // pages that somebody touched meanwhile, so that it was all for nothing
	Failed   uint64 // pages for which there was no memory: likewise
	Bytes    int64  // that were saved, of frames and handles
}

func (r *Recompressed) add(o Recompressed) {
	r.Pages, r.Clusters, r.Kept, r.Lost = r.Pages+o.Pages, r.Clusters+o.Clusters, r.Kept+o.Kept, r.Lost+o.Lost
	r.Failed, r.Bytes = r.Failed+o.Failed, r.Bytes+o.Bytes
}

// seen returns how many pages were worked on.
func (r *Recompressed) seen() uint64 { return r.Pages + r.Kept + r.Lost + r.Failed }

const (
	handleBytes = 8
	classStep   = 16 // bytes; what is the least to gain
)

func newPacker(p *Pool) *packer {
	return &packer{p: p, w: p.newReader(), pages: make([]byte, windowSlots*PageSize), list: make([]candidate, 0, windowSlots)}
}

// use takes another codec. off says that it packs nothing, and is that of new pages.
func (k *packer) use(codec compressor.Codec, most int, off bool) {
	k.codec, k.most, k.off, k.ratio = codec, most, off, 0.65
	k.out = make([]byte, clusterHeader+codec.MaxLen(MaxClusterPages*PageSize))
}

// on reports whether there is something to pack with.
func (k *packer) on() bool { return !k.off }

// look lists the pages of a window that are worth packing, those of age idle and more: objects that the dense codec has not
// seen, and with them those that it has packed alone and what is left of clusters that have mostly died. skip are hints of
// pages that are not.
func (k *packer) look(window uint64, idle uint8, skip word) {
	k.list = k.list[:0]
	fresh := 0
	words := k.p.slots.window(window)
	for i := range words {
		w := word(words[i].Load())
		if w == 0 || w&lockBit != 0 || k.p.clock.age(w) < idle || w.length() == 0 || w.length() > zsmalloc.MaxSize {
			continue
		}
		size, n := k.p.zs.ClassSize(w.length())+handleBytes, 1
		switch {
		case w.kind() == kindObject && w&skip&^denseBit == 0 && w.codec() != idPattern && !k.off:
			if w&denseBit == 0 {
				fresh++
			}
		case w.kind() == kindMember:
			if n = named(words, w); !mostlyDead(n, w) {
				continue
			}
			fresh++
		default:
			continue
		}
		k.list = append(k.list, candidate{window + uint64(i), w, size / n})
	}
	if fresh == 0 {
		k.list = k.list[:0]
	}
}

// named returns how many words of a window name the cluster of w, at least 1.
func named(words *[windowSlots]atomic.Uint64, w word) (n int) {
	for i := range words {
		if o := word(words[i].Load()); o.kind() == kindMember && o.handle() == w.handle() {
			n++
		}
	}
	return max(n, 1)
}

// pack packs the pages of the list.
func (k *packer) pack() {
	read := k.list[:0]
	for _, c := range k.list {
		if k.read(c, k.pages[len(read)*PageSize:][:PageSize:PageSize]) {
			read = append(read, c)
		}
	}
	for from := 0; from < len(read); {
		n, sum := 0, 0
		for from+n < len(read) && n < k.most {
			sum += k.packedLength(read[from+n].word)
			if n > 0 && int(float64(sum)*k.ratio)+clusterHeader >= k.w.raw {
				break
			}
			n++
		}
		k.join(read[from:from+n], k.pages[from*PageSize:(from+n)*PageSize])
		from += n
	}
}

// packedLength returns how long a page's object is, as if it had come in just now.
func (k *packer) packedLength(w word) int {
	n := float64(w.length())
	if w.kind() == kindMember {
		n /= float64(int(1) << w.log2())
	}
	if w.cold() {
		n /= k.ratio
	}
	return int(n)
}

// read reads a candidate's page, if its slot is as it was.
func (k *packer) read(c candidate, page []byte) bool {
	at := k.p.slots.word(c.slot)
	if !tryLockSlot(at, c.word) {
		return false
	}
	step("pack: slot locked")
	err := k.w.read(c.slot, c.word, page)
	publish(at, c.word)
	step("pack: page read")
	return err == nil // who loads it will be told
}

// join makes one object of a group of pages, if that gains anything; of half of them, if it would be too long.
func (k *packer) join(group []candidate, pages []byte) {
	size := 0
	for _, c := range group {
		size += c.size
	}
	n := k.codec.Compress(k.out[clusterHeader:], pages)
	if len(group) > 1 {
		k.learn(group, n)
		if n == 0 || n+clusterHeader >= k.w.raw {
			half := len(group) / 2
			k.join(group[:half], pages[:half*PageSize])
			k.join(group[half:], pages[half*PageSize:])
			return
		}
		n += clusterHeader
	}
	if n == 0 || n >= k.w.raw || k.p.zs.ClassSize(n)+handleBytes+classStep > size {
		k.settle(group)
		return
	}
	object := k.out[:n]
	if len(group) == 1 {
		object = k.out[clusterHeader:][:n]
	}
	h, ok := k.put(group, object)
	if !ok {
		k.did.Failed += uint64(len(group))
		return
	}
	k.did.Bytes += int64(size - k.p.zs.ClassSize(n) - handleBytes)
	k.publish(group, h, object)
}

// learn notes what a group compressed to, so that the next is rather of the right length.
func (k *packer) learn(group []candidate, n int) {
	sum := 0
	for _, c := range group {
		sum += k.packedLength(c.word)
	}
	if n == 0 {
		n = sum
	}
	if sum > 0 {
		k.ratio += (min(max(float64(n)/float64(sum), 0.1), 1) - k.ratio) / 16
	}
}

// put makes the object. Nobody knows it yet.
func (k *packer) put(group []candidate, object []byte) (h zsmalloc.Handle, ok bool) {
	window := windowOf(group[0].slot)
	tag := checksum(object, group[0].slot, k.codec.ID())
	members := uint16(0)
	if len(group) > 1 {
		for _, c := range group {
			members |= memberBit(c.slot)
		}
		setLive(object, 0, window, members, members)
		object[8] = byte(k.codec.ID())
		tag = clusterChecksum(object, window)
	}
	h, err := k.p.zs.Put(object, tag)
	if err != nil {
		return 0, false
	}
	step("pack: object made")
	if len(group) == 1 {
		return h, true
	}
	there, _, err := k.p.zs.Pin(h)
	if err != nil {
		panic(err) // nobody else has it
	}
	setLive(there[:len(object)], h, window, members, members)
	k.p.zs.Unpin(h)
	step("pack: cluster made")
	k.w.countCluster(int64(len(object)), 1)
	return h, true
}

// publish gives the slots of a group their new words. One whose word is not what it was is left alone: somebody has touched
// it. That the word is the same means that the page is: a page that was stored meanwhile has the age of today, which is not
// that of an idle page, for the clock stands still while a packer is at work, and a store reads it under the slot's lock.
func (k *packer) publish(group []candidate, h zsmalloc.Handle, object []byte) {
	new := objectWord(h, k.codec.ID(), len(object))
	switch {
	case len(group) > 1:
		new = memberWord(h, len(object), len(group))
		k.did.Clusters++
	case !k.off:
		new |= denseBit
	}
	for _, c := range group {
		to := new.at(c.word.age())
		if !k.p.slots.word(c.slot).CompareAndSwap(uint64(c.word), uint64(to)) {
			k.did.Lost++
			k.w.dispose(c.slot, to, nil)
			step("pack: too late")
			continue
		}
		step("pack: published")
		k.did.Pages++
		k.w.replaced(c.slot, c.word, to, nil)
		step("pack: old object freed")
	}
}

// settle notes that pages are not worth another try.
func (k *packer) settle(group []candidate) {
	for _, c := range group {
		if c.word.kind() == kindObject {
			k.p.slots.word(c.slot).CompareAndSwap(uint64(c.word), uint64(c.word|settledBit))
			k.did.Kept++
		}
	}
}
