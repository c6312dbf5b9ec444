package zram

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Stats is mm_stat, with the kernel's names.
type Stats struct {
	OrigDataSize  int64 // bytes stored, before compression; same-filled pages count
	ComprDataSize int64 // bytes after compression; same-filled pages take none
	MemUsedTotal  int64 // bytes of the pool: compressed data, rounding to classes, empty places, huge pages
	MemLimit      int64 // bytes; 0: none
	MemUsedMax    int64 // bytes, the highest MemUsedTotal so far
	SamePages     int64
	CompactedPgs  int64 // pages that compaction freed
	HugePages     int64 // pages stored as they are
	HugePagesEver int64 // the same, with those that are gone

	diskPages int64
}

// SlotBytes are of the slot table, for each page of the disk: handle, flags, time of access.
const SlotBytes = 16

const handleBytes = 8 // for each object, in a slab of its own

// Objects returns how many objects the pool holds: a same-filled page is none.
func (s *Stats) Objects() int64 { return s.OrigDataSize/PageSize - s.SamePages }

// SlotTableBytes returns what the slot table takes, from the moment that the disk's size is set.
func (s *Stats) SlotTableBytes() int64 { return s.diskPages * SlotBytes }

// HandleBytes returns what the handles of the stored objects take.
func (s *Stats) HandleBytes() int64 { return s.Objects() * handleBytes }

// MemoryBytes returns all memory that the device takes: the pool, the slot table and the handles.
func (s *Stats) MemoryBytes() int64 { return s.MemUsedTotal + s.SlotTableBytes() + s.HandleBytes() }

// Stats reads the device's counters.
func (d *Device) Stats() (Stats, error) {
	text, err := os.ReadFile(filepath.Join(d.sysfs(), "mm_stat"))
	if err != nil {
		return Stats{}, fmt.Errorf("zram: %w", err)
	}
	s, err := parseStats(string(text))
	s.diskPages = d.pages
	return s, err
}

// parseStats reads the nine columns of mm_stat. Old kernels have fewer at the end, newer ones may have more.
func parseStats(text string) (s Stats, err error) {
	columns := []*int64{&s.OrigDataSize, &s.ComprDataSize, &s.MemUsedTotal, &s.MemLimit, &s.MemUsedMax, &s.SamePages, &s.CompactedPgs, &s.HugePages, &s.HugePagesEver}
	fields := strings.Fields(text)
	if len(fields) < 7 {
		return s, fmt.Errorf("zram: mm_stat %q: want at least 7 numbers", text)
	}
	for i, f := range fields[:min(len(fields), len(columns))] {
		if *columns[i], err = strconv.ParseInt(f, 10, 64); err != nil {
			return s, fmt.Errorf("zram: mm_stat %q: %w", text, err)
		}
	}
	return s, nil
}
