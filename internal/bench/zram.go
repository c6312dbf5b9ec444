package bench

import "github.com/zswapd/zswapd/internal/zram"

// zramSide is the kernel's zram with one algorithm.
type zramSide struct {
	algorithm string
	state     string // folder of records; "": none are made
}

func (s zramSide) name() (system, codec string) { return "zram", s.algorithm }
func (zramSide) batch() int                     { return zram.BatchPages }

func (s zramSide) open(pages int64, _ int) (box, error) {
	d, err := zram.CreateRecorded(s.state, s.algorithm, pages*zram.PageSize)
	if err != nil {
		return nil, err
	}
	return zramBox{d}, nil
}

// zramBox is a device. All threads use it as it is.
type zramBox struct{ d *zram.Device }

func (b zramBox) user(int) user         { return b }
func (b zramBox) close() error          { return b.d.Remove() }
func (b zramBox) free(page int64) error { return b.d.Discard(page, 1) }

func (b zramBox) store(first int, pages []byte) error { return b.d.WritePages(int64(first), pages) }
func (b zramBox) load(first int, pages []byte) error  { return b.d.ReadPages(int64(first), pages) }

// usage is what the kernel counts and what package zram adds; descriptors of zspages are in neither.
func (b zramBox) usage() (usage, error) {
	s, err := b.d.Stats()
	return usage{
		pages: s.OrigDataSize / zram.PageSize, incompressible: s.HugePages, compressed: s.ComprDataSize, memory: s.MemoryBytes(),
		metadata: s.SlotTableBytes() + s.HandleBytes() + (s.Objects()-s.HugePages)*headerBytes,
	}, err
}

func (b zramBox) compact() (Compaction, error) {
	before, err := b.d.Stats()
	if err != nil {
		return Compaction{}, err
	}
	begin := now()
	if err := b.d.Compact(); err != nil {
		return Compaction{}, err
	}
	took := now() - begin
	after, err := b.d.Stats()
	return Compaction{Frames: after.CompactedPgs - before.CompactedPgs, TotalNs: took}, err
}
