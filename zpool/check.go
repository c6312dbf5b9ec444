package zpool

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/arena"
	"github.com/zswapd/zswapd/internal/backing"
	"github.com/zswapd/zswapd/zsmalloc"
)

// Check walks everything: zsmalloc's own Check; each slot is unlocked and its page checks; the objects in the
// allocator are those of the slots, each of one slot; the counts agree; and the memory that the store takes is the
// memory that is accounted for. Lost pages are no disagreement. No other call may be in progress.
func (p *Pool) Check() error {
	return p.check(&Worker{p: p, decoder: compressor.NewDecoders(), unpacked: newUnpacked()})
}

// check is Check with a worker to read pages with.
func (p *Pool) check(w *Worker) error {
	p.tiers.halt()
	p.writeback.halt()
	p.zs.StopCompactor()
	p.zs.StopReserve()
	err := p.zs.Check()
	var sum counters
	var stored, objects int64
	page, seen, clusters := make([]byte, PageSize), map[word]uint64{}, map[zsmalloc.Handle]*claim{}
	problem := func(format string, args ...any) { err = errors.Join(err, fmt.Errorf(format, args...)) }
	p.slots.each(func(slot uint64, at *atomic.Uint64) bool {
		old := word(at.Load())
		if old == 0 {
			return true
		}
		stored++
		sum.count(0, old)
		if old&lockBit != 0 {
			problem("slot %d is locked", slot)
			return true
		}
		switch old.kind() {
		case kindMember:
			c := clusters[old.handle()]
			if c == nil {
				c = &claim{handle: old.handle(), length: old.length()}
				clusters[old.handle()] = c
				c.window = windowOf(slot)
			}
			if c.length != old.length() || c.window != windowOf(slot) {
				problem("slot %d: not as long as the others say, or not of the window of the cluster: %#x, %+v", slot, uint64(old), *c)
			}
			c.slots |= memberBit(slot)
		case kindObject:
			objects++
			if other, twice := seen[word(old.handle())]; twice {
				problem("slots %d and %d have the same object", other, slot)
			}
			seen[word(old.handle())] = slot
		}
		if e := w.read(slot, old, page); e != nil && old.kind() != kindLost {
			problem("slot %d, word %#x: %w", slot, uint64(old), e)
		}
		return true
	})
	for h, c := range clusters {
		objects++
		sum.countCluster(int64(c.length), 1)
		if other, twice := seen[word(h)]; twice {
			problem("slot %d has the object of a cluster", other)
		}
		if e := p.checkCluster(*c); e != nil {
			problem("cluster of slots from %d: %w", c.window, e)
		}
	}
	if f := p.writeback.file.Load(); f != nil {
		if e := f.Check(func(visit func(backing.Place)) { p.writeback.each(func(_ uint64, w word) { visit(w.place()) }) }); e != nil {
			problem("%w", e)
		}
	}
	s, zs := p.Stats(), p.zs.Stats()
	if sum.written.Load() != s.WrittenPages {
		problem("counted %d pages in the backing file; the counter says %d", sum.written.Load(), s.WrittenPages)
	}
	if objects > int64(zs.Objects) || objects+int64(p.cutOff.Load()) < int64(zs.Objects) {
		problem("%d slots with objects, the allocator has %d", objects, zs.Objects)
	}
	if stored != s.StoredPages || sum.sameFilled.Load() != s.SameFilledPages ||
		sum.incompressible.Load() != s.IncompressiblePages || p.cutOff.Load() == 0 && sum.compressedBytes.Load() != s.CompressedBytes ||
		sum.cold.Load() != s.ColdPages || p.cutOff.Load() == 0 && (sum.clusters.Load() != s.Clusters || sum.coldBytes.Load() != s.ColdBytes) {
		problem("counted %d pages, %d same-filled, %d incompressible, %d cold, %d clusters, %d bytes; the counters say %d, %d, %d, %d, %d, %d",
			stored, sum.sameFilled.Load(), sum.incompressible.Load(), sum.cold.Load(), sum.clusters.Load(), sum.compressedBytes.Load(),
			s.StoredPages, s.SameFilledPages, s.IncompressiblePages, s.ColdPages, s.Clusters, s.CompressedBytes)
	}
	if e := p.checkMemory(); e != nil {
		problem("%w", e)
	}
	if err != nil {
		return fmt.Errorf("zpool: check: %w", err)
	}
	return nil
}

// checkCluster compares a cluster's header with the slots that name it.
func (p *Pool) checkCluster(c claim) error {
	object, _, err := p.zs.Pin(c.handle)
	if err != nil {
		return err
	}
	defer p.zs.Unpin(c.handle)
	if c.length > len(object) || !isCluster(object[:c.length], c.handle, c.window) {
		return fmt.Errorf("its header is damaged: %x", object[:min(clusterHeader, len(object))])
	}
	if live := liveOf(object); live != c.slots {
		return fmt.Errorf("members %016b, live %016b, named by %016b", membersOf(object), live, c.slots)
	}
	return nil
}

// checkMemory compares the budget with what the system says is resident in the two arenas.
func (p *Pool) checkMemory() error {
	var there int64
	err := p.a.Resident(0, p.a.Size(), func(_, n int64) { there += n })
	private, err2 := p.zs.PrivateBytes()
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	if used := p.a.Budget().Used(); used != there+private {
		return fmt.Errorf("%d bytes resident in the store and %d beside it, %d accounted for", there, private, used)
	}
	if there%arena.FrameSize != 0 {
		return fmt.Errorf("%d resident bytes are no whole frames", there)
	}
	return nil
}
