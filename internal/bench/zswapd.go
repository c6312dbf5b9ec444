package bench

import (
	"context"
	"slices"
	"time"

	"github.com/zswapd/zswapd/zpool"
	"github.com/zswapd/zswapd/zsmalloc"
)

// headerBytes are those of an object, zram's too. They lie beside its bytes, but those of a page that is kept as it is lie
// in a table.
const headerBytes = 8

// poolSide is zswapd with one codec, and another for cold pages.
type poolSide struct {
	codec, cold string
	cluster     int // bytes
}

func (s poolSide) name() (system, codec string) { return "zswapd", s.codec }
func (poolSide) batch() int                     { return 1 }

func (s poolSide) open(pages int64, threads int) (box, error) {
	p, err := zpool.New(zpool.Options{
		Slots: uint64(pages), MaxBytes: pages*(zpool.PageSize+zpool.PageSize/32) + 16<<20, Compressor: s.codec,
		RecompressCodec: s.cold, ClusterSize: s.cluster,
	})
	if err != nil {
		return nil, err
	}
	b := &poolBox{p: p}
	for range threads {
		b.users = append(b.users, poolUser{p.NewWorker()})
	}
	return b, nil
}

type poolBox struct {
	p     *zpool.Pool
	users []poolUser
}

func (b *poolBox) user(thread int) user { return b.users[thread] }
func (b *poolBox) close() error         { return b.p.Close() }

func (b *poolBox) free(page int64) error { return b.users[0].w.Invalidate(uint64(page), 1) }

func (b *poolBox) usage() (usage, error) {
	s, zs := b.p.Stats(), b.p.Allocator()
	frames := int64(zs.Frames) + zs.ReadyFrames
	objects := int64(0)
	for _, c := range zs.Classes {
		objects += int64(c.ObjUsed) * int64(c.Size)
	}
	return usage{
		frames: int64(zs.Frames) * zpool.PageSize, objects: objects,
		pages: s.StoredPages, incompressible: s.IncompressiblePages, compressed: s.CompressedBytes, memory: s.MemoryBytes,
		metadata: s.MemoryBytes - frames*zpool.PageSize + (int64(zs.Objects)-s.IncompressiblePages)*headerBytes,
	}, nil
}

// compact does what the background does, without its rests.
func (b *poolBox) compact() (c Compaction, err error) {
	var steps []int64
	var sum zsmalloc.Compaction
	begin := now()
	for more := true; more; {
		var step zsmalloc.Compaction
		at := now()
		step, more = b.p.Compact(zsmalloc.DefaultBudget)
		steps = append(steps, now()-at)
		sum.Frames += step.Frames
		sum.Objects += step.Objects
	}
	b.p.Trim()
	c = Compaction{
		Frames: int64(sum.Frames), Objects: int64(sum.Objects), TotalNs: now() - begin,
		Steps: len(steps), LongestStepNs: slices.Max(steps), MedianStepNs: quantile(steps, 0.5),
	}
	if c.Objects > 0 {
		c.FramesPerObject = float64(c.Frames) / float64(c.Objects)
	}
	return c, nil
}

// age packs all pages and compacts, as the background does in time.
func (b *poolBox) age(ctx context.Context) error {
	b.p.Tick()
	for more := true; more; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		if _, more, err = b.p.Recompress(0, agePages); err != nil {
			return err
		}
	}
	_, err := b.compact()
	return err
}

const agePages = 512 // packed between two looks at the context

func (b *poolBox) aged() Aged {
	s := b.p.Stats()
	l, did := &s.ColdLoadTime, &s.Recompressed
	return Aged{
		ColdPages: s.ColdPages, Clusters: s.Clusters, PackNsPerPage: float64(s.PackCPU) / float64(max(did.Pages+did.Kept+did.Lost, 1)),
		ColdLoad: Single{float64(l.Sum) / float64(max(l.Count, 1)), int64(l.Quantile(0.5)), int64(l.Quantile(0.99)), int64(l.Max)},
	}
}

type poolUser struct{ w *zpool.Worker }

func (u poolUser) store(first int, pages []byte) error { return u.w.Store(uint64(first), pages) }
func (u poolUser) load(first int, pages []byte) error  { return u.w.Load(uint64(first), pages) }

var epoch = time.Now()

// now is a clock that costs as little as there is, in nanoseconds.
func now() int64 { return int64(time.Since(epoch)) }
